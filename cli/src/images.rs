//! Pictures: which files are meant, and their pixels as they are meant to be seen.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};

use crate::failure::Failure;

/// The endings of the files that a directory stands for.
const ENDINGS: [&str; 15] = ["bmp", "gif", "jpe", "jpeg", "jpg", "pbm", "pgm", "png", "pnm", "ppm", "pam", "tif", "tiff", "webp", "jfif"];

/// Larger files are not pictures that anyone wants classified.
const MAX_FILE_BYTES: u64 = 512 << 20;

/// The most bytes of pixels: a photo of 178 megapixels.
const MAX_PIXEL_BYTES: u64 = 512 << 20;

/// The files that the arguments stand for, in their order: files, all pictures of a directory, all matches of a glob.
pub fn expand(arguments: &[String]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = vec![];
    for argument in arguments {
        let path = Path::new(argument);
        if path.is_dir() {
            files.extend(pictures_in(path)?);
        } else if path.exists() || !argument.contains(['*', '?', '[']) {
            files.push(path.to_owned());
        } else {
            files.extend(matches(argument)?);
        }
    }
    Ok(files)
}

fn pictures_in(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let fail = |e: std::io::Error| Failure::failed(format!("{}: {e}", directory.display()));
    let mut files = vec![];
    for entry in std::fs::read_dir(directory).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if is_picture(&path) && path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(Failure::failed(format!("{}: no pictures in this directory ({})", directory.display(), ENDINGS.join(", "))));
    }
    files.sort();
    Ok(files)
}

fn matches(pattern: &str) -> Result<Vec<PathBuf>, Failure> {
    let paths = glob::glob(pattern).map_err(|e| Failure::usage(format!("{pattern}: not a pattern: {e}")))?;
    let mut files = vec![];
    for path in paths {
        let path = path.map_err(|e| Failure::failed(format!("{}: {}", e.path().display(), e.error())))?;
        if path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(Failure::failed(format!("{pattern}: no file matches")));
    }
    Ok(files)
}

/// Whether a file's name says that it is a picture.
pub fn is_picture(path: &Path) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| ENDINGS.contains(&e.to_ascii_lowercase().as_str()))
}

/// The pixels of a picture file, turned upright, transparency over white. The message of an error does not name the file.
pub fn open(path: &Path) -> Result<RgbImage, String> {
    let mut bytes = vec![];
    let file = File::open(path).map_err(|e| e.to_string())?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("larger than the limit of {} MiB", MAX_FILE_BYTES >> 20));
    }
    decode(&bytes)
}

/// The pixels of an encoded picture, turned upright, transparency over white.
pub fn decode(bytes: &[u8]) -> Result<RgbImage, String> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
    let Some(format) = reader.format() else {
        return Err("not a picture that can be read here (BMP, GIF, JPEG, PNG, PNM, TIFF or WebP)".into());
    };
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height, limits.max_alloc) = (Some(1 << 16), Some(1 << 16), Some(MAX_PIXEL_BYTES));
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(describe)?;
    let (width, height) = decoder.dimensions();
    limits
        .reserve(decoder.total_bytes())
        .map_err(|_| format!("{width}×{height} pixels are more than the limit of {} MiB; make it smaller", MAX_PIXEL_BYTES >> 20))?;
    if width == 0 || height == 0 {
        return Err(format!("{width}×{height} pixels: empty"));
    }
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
    let text = error.to_string();
    format!("cannot be decoded: {}", text.lines().collect::<Vec<_>>().join(" "))
}

/// ImageMagick before PNG had `eXIf` wrote EXIF as hexadecimal text: a newline, `exif`, a length, then the digits.
fn png_text_orientation(bytes: &[u8]) -> Option<Orientation> {
    const KEYWORD: &str = "Raw profile type exif";
    let reader = png::Decoder::new(Cursor::new(bytes)).read_info().ok()?;
    let info = reader.info();
    let plain = info.uncompressed_latin1_text.iter().find(|t| t.keyword == KEYWORD).map(|t| t.text.clone());
    let packed = info.compressed_latin1_text.iter().find(|t| t.keyword == KEYWORD);
    let text = plain.or_else(|| packed?.get_text().ok())?;
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
mod tests {
    use super::*;
    use image::{Rgba, RgbaImage};

    fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(vec![]);
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn transparency_goes_over_white() {
        let picture = RgbaImage::from_fn(3, 1, |x, _| Rgba([200, 100, 0, [0, 128, 255][x as usize]]));
        let rgb = decode(&encoded(&picture.into(), ImageFormat::Png)).unwrap();
        assert_eq!(rgb.get_pixel(0, 0).0, [255, 255, 255]);
        assert_eq!(rgb.get_pixel(1, 0).0, [227, 177, 127]);
        assert_eq!(rgb.get_pixel(2, 0).0, [200, 100, 0]);
    }

    #[test]
    fn sixteen_bits_become_eight() {
        let picture = image::ImageBuffer::from_fn(2, 1, |x, _| image::Luma([[257u16 * 40, 65_535][x as usize]]));
        let rgb = decode(&encoded(&DynamicImage::ImageLuma16(picture), ImageFormat::Png)).unwrap();
        assert_eq!((rgb.get_pixel(0, 0).0, rgb.get_pixel(1, 0).0), ([40; 3], [255; 3]));
    }

    #[test]
    fn what_is_no_picture_says_so() {
        assert!(decode(b"hello").unwrap_err().contains("not a picture"));
        assert!(decode(b"").is_err());
        let png = encoded(&DynamicImage::new_rgb8(9, 7), ImageFormat::Png);
        assert!(decode(&png[..png.len() / 2]).unwrap_err().contains("cannot be decoded"));
    }

    #[test]
    fn orientation_as_imagemagick_wrote_it_counts() {
        let (mut bytes, exif) = (vec![], "\nexif\n      32\n4578696600004d4d002a000000080001011200030000\n0001000300000000\n0000\n");
        let mut encoder = png::Encoder::new(&mut bytes, 2, 1);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.add_text_chunk("Raw profile type exif".into(), exif.into()).unwrap();
        encoder.write_header().unwrap().write_image_data(&[10, 20]).unwrap();
        let rgb = decode(&bytes).unwrap();
        assert_eq!((rgb.get_pixel(0, 0).0, rgb.get_pixel(1, 0).0), ([20; 3], [10; 3]));
    }

    #[test]
    fn pictures_beyond_the_limits_are_refused() {
        let mut bmp = encoded(&DynamicImage::new_rgb8(2, 2), ImageFormat::Bmp);
        bmp[18..22].copy_from_slice(&60_000i32.to_le_bytes());
        bmp[22..26].copy_from_slice(&60_000i32.to_le_bytes());
        let error = decode(&bmp).unwrap_err();
        assert!(error.contains("60000×60000") && error.contains("limit"), "{error}");
    }

    #[test]
    fn names_are_expanded() {
        let none = expand(&["no/such/*.jpg".into()]).unwrap_err().to_string();
        assert!(none.contains("no file matches"), "{none}");
        assert_eq!(expand(&["missing.jpg".into()]).unwrap(), [PathBuf::from("missing.jpg")]);
        assert!(is_picture(Path::new("a/B.JPG")) && !is_picture(Path::new("x.npy")));
    }
}
