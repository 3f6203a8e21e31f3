//! From the bytes of a picture file to its pixels, with a bound on the memory that it takes.

use std::io::Cursor;
use std::sync::{Mutex, PoisonError};

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};

use super::structure;

/// The most bytes of pixels, as the file has them and in RGB: a photo of 178 megapixels.
const MAX_PIXEL_BYTES: u64 = 512 << 20;

/// The most pixels along a side.
const MAX_SIDE: u32 = 1 << 16;

/// The most that a decoder may take beside the pixels, such as for a colour profile, which is packed in the file.
const MAX_EXTRA_BYTES: u64 = 64 << 20;

/// The most bytes of EXIF as text, which PNG may pack.
const MAX_EXIF_TEXT: usize = 1 << 20;

/// Pictures with more bytes of pixels are decoded one at a time: as many as there are cores might not fit into memory.
const LARGE_BYTES: u64 = 64 << 20;

/// Held while a large picture is decoded.
static LARGE: Mutex<()> = Mutex::new(());

/// The pixels of an encoded picture, turned upright, transparency over white; of an animation, the first frame.
pub fn decode(bytes: &[u8]) -> Result<RgbImage, String> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
    let Some(format) = reader.format() else {
        return Err("not a picture that can be read here (BMP, GIF, JPEG, PNG, PNM, TIFF or WebP)".into());
    };
    structure::check(bytes, format).map_err(|why| format!("cannot be decoded: {why}"))?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
    limits.max_alloc = Some(match format {
        // Its decoder counts the pixels as well.
        ImageFormat::Tiff => MAX_PIXEL_BYTES + MAX_EXTRA_BYTES,
        _ => MAX_EXTRA_BYTES,
    });
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(describe)?;
    let (width, height) = decoder.dimensions();
    let pixel_bytes = decoder.total_bytes().max(u64::from(width) * u64::from(height) * 3);
    if pixel_bytes > MAX_PIXEL_BYTES {
        return Err(format!("{width}×{height} pixels are more than the limit of {} MiB; make it smaller", MAX_PIXEL_BYTES >> 20));
    }
    if width == 0 || height == 0 {
        return Err(format!("{width}×{height} pixels: empty"));
    }
    if format == ImageFormat::Gif {
        // Its first frame is decoded beside the pixels, and may be larger than they.
        limits.max_alloc = Some(pixel_bytes.saturating_mul(2).max(MAX_EXTRA_BYTES));
        decoder.set_limits(limits).map_err(describe)?;
    }
    let _alone = (pixel_bytes > LARGE_BYTES).then(|| LARGE.lock().unwrap_or_else(PoisonError::into_inner));
    // Broken metadata is no reason to refuse a picture whose pixels are whole.
    let mut orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    if orientation == Orientation::NoTransforms && format == ImageFormat::Png {
        orientation = png_text_orientation(bytes).unwrap_or(orientation);
    }
    let mut picture = DynamicImage::from_decoder(decoder).map_err(describe)?;
    picture.apply_orientation(orientation);
    Ok(over_white(picture))
}

fn describe(error: ImageError) -> String {
    if let ImageError::Limits(_) = error {
        let (pixels, extra) = (MAX_PIXEL_BYTES >> 20, MAX_EXTRA_BYTES >> 20);
        return format!("more than the limits of {MAX_SIDE} pixels a side, {pixels} MiB of pixels and {extra} MiB beside; make it smaller");
    }
    let text = error.to_string();
    format!("cannot be decoded: {}", text.lines().collect::<Vec<_>>().join(" "))
}

/// ImageMagick before PNG had `eXIf` wrote EXIF as hexadecimal text: a newline, `exif`, a length, then the digits.
fn png_text_orientation(bytes: &[u8]) -> Option<Orientation> {
    const KEYWORD: &str = "Raw profile type exif";
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_ignore_iccp_chunk(true);
    let reader = decoder.read_info().ok()?;
    let info = reader.info();
    let plain = info.uncompressed_latin1_text.iter().find(|t| t.keyword == KEYWORD).map(|t| t.text.clone());
    let packed = || {
        let mut text = info.compressed_latin1_text.iter().find(|t| t.keyword == KEYWORD)?.clone();
        text.decompress_text_with_limit(MAX_EXIF_TEXT).ok()?;
        text.get_text().ok()
    };
    let text = plain.or_else(packed)?;
    let digits: Vec<u8> = text.lines().skip(3).flat_map(str::bytes).filter(|b| !b.is_ascii_whitespace()).collect();
    let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
    let exif: Option<Vec<u8>> = digits.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect();
    let exif = exif?;
    Orientation::from_exif_chunk(exif.strip_prefix(b"Exif\0\0").unwrap_or(&exif))
}

fn over_white(picture: DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let rgba = picture.into_rgba8();
    let (width, height) = rgba.dimensions();
    let blend = |color: u8, alpha: u8| {
        let (color, alpha) = (u32::from(color), u32::from(alpha));
        ((color * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    RgbImage::from_fn(width, height, |x, y| {
        let [r, g, b, a] = rgba.get_pixel(x, y).0;
        image::Rgb([blend(r, a), blend(g, a), blend(b, a)])
    })
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
