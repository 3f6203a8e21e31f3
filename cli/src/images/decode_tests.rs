//! Pictures of every format, some as they should not be, and what becomes of them.

use super::*;
use image::codecs::gif::GifEncoder;
use image::{ExtendedColorType, Frame, ImageBuffer, Rgb, Rgba, RgbaImage};

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

const FORMATS: [ImageFormat; 7] =
    [ImageFormat::Bmp, ImageFormat::Gif, ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Pnm, ImageFormat::Tiff, ImageFormat::WebP];

fn colours(width: u32, height: u32) -> DynamicImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(x * 20) as u8, (y * 25) as u8, 77])).into()
}

/// A chunk of a PNG file, its checksum included.
fn png_chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let all = [name, data].concat();
    let checksum = !all.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    });
    [&(data.len() as u32).to_be_bytes(), &all[..], &checksum.to_be_bytes()].concat()
}

/// A PNG file of bytes and zlib's stream of them, one block as it is.
fn png(width: u32, height: u32, [depth, colour]: [u8; 2], chunks: &[Vec<u8>], rows: &[u8]) -> Vec<u8> {
    let head = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[depth, colour, 0, 0, 0]].concat();
    let (a, b) = rows.iter().fold((1u32, 0u32), |(a, b), byte| ((a + u32::from(*byte)) % 65_521, (a + b + u32::from(*byte)) % 65_521));
    let length = rows.len() as u16;
    let data = [&[0x78, 1, 1], &length.to_le_bytes()[..], &(!length).to_le_bytes(), rows, &(b << 16 | a).to_be_bytes()].concat();
    [&b"\x89PNG\r\n\x1a\n"[..], &png_chunk(b"IHDR", &head), &chunks.concat(), &png_chunk(b"IDAT", &data), &png_chunk(b"IEND", b"")].concat()
}

#[test]
fn every_format_at_every_proportion() {
    for format in FORMATS {
        for (width, height) in [(1, 1), (1, 10_000), (10_000, 1), (7, 5)] {
            let picture = RgbImage::from_pixel(width, height, Rgb([200, 40, 90])).into();
            let rgb = decode(&encoded(&picture, format)).unwrap_or_else(|e| panic!("{format:?} {width}×{height}: {e}"));
            assert_eq!(rgb.dimensions(), (width, height), "{format:?}");
            let tolerance = if format == ImageFormat::Jpeg { 3 } else { 0 };
            let same = rgb.pixels().all(|p| p.0.iter().zip([200u8, 40, 90]).all(|(a, b)| a.abs_diff(b) <= tolerance));
            assert!(same, "{format:?} {width}×{height}: {:?}", rgb.get_pixel(0, 0));
        }
    }
}

#[test]
fn what_is_cut_anywhere_is_whole_or_an_error() {
    for format in FORMATS {
        let bytes = encoded(&colours(12, 9), format);
        let whole = decode(&bytes).unwrap();
        for length in 0..bytes.len() {
            if let Ok(part) = decode(&bytes[..length]) {
                assert!(part == whole, "{format:?}: {length} of {} bytes give another picture", bytes.len());
            }
        }
        assert!(decode(&bytes[..bytes.len() * 2 / 3]).is_err(), "{format:?}");
    }
}

#[test]
fn what_is_damaged_anywhere_is_a_picture_or_an_error() {
    for format in FORMATS {
        let bytes = encoded(&colours(5, 3), format);
        for at in 0..bytes.len() {
            for change in [0xff, 0x01, 0x80] {
                let mut damaged = bytes.clone();
                damaged[at] ^= change;
                if let Ok(picture) = decode(&damaged) {
                    assert!(picture.width() > 0 && picture.height() > 0, "{format:?}, byte {at}");
                }
            }
        }
    }
}

#[test]
fn sixteen_bits_in_every_format_that_has_them() {
    let picture = DynamicImage::ImageRgb16(ImageBuffer::from_fn(3, 2, |x, y| Rgb([257 * x as u16, 257 * 100, 65_535 * y as u16])));
    for format in [ImageFormat::Png, ImageFormat::Tiff] {
        let rgb = decode(&encoded(&picture, format)).unwrap();
        assert_eq!((rgb.get_pixel(2, 0).0, rgb.get_pixel(1, 1).0), ([2, 100, 0], [1, 100, 255]), "{format:?}");
    }
    let rgb = decode(b"P6 2 1 65535\n\x01\x01\x64\x64\xff\xff\0\0\xff\xff\x01\x01").unwrap();
    assert_eq!((rgb.get_pixel(0, 0).0, rgb.get_pixel(1, 0).0), ([1, 100, 255], [0, 255, 1]));
    let pgm = decode(b"P2 2 1 1000 500 1000").unwrap();
    assert_eq!((pgm.get_pixel(0, 0).0, pgm.get_pixel(1, 0).0), ([128; 3], [255; 3]));
}

/// The IFD of an uncompressed TIFF of one strip, little-endian.
fn tiff(width: u32, height: u32, [bits, photometric, samples, format]: [u16; 4], pixels: &[u8]) -> Vec<u8> {
    let depths = 8 + pixels.len() as u32;
    let ifd = depths + 8;
    let depth = if samples > 1 { depths } else { bits.into() };
    let tag = |tag: u16, kind: u16, count: u32, value: u32| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()].concat()
    };
    let tags = [
        tag(256, 4, 1, width),
        tag(257, 4, 1, height),
        tag(258, 3, samples.into(), depth),
        tag(259, 3, 1, 1),
        tag(262, 3, 1, photometric.into()),
        tag(273, 4, 1, 8),
        tag(277, 3, 1, samples.into()),
        tag(278, 4, 1, height),
        tag(279, 4, 1, pixels.len() as u32),
        tag(339, 3, 1, format.into()),
    ];
    let depths: Vec<u8> = [bits; 4].iter().flat_map(|bits| bits.to_le_bytes()).collect();
    [b"II*\0", &ifd.to_le_bytes()[..], pixels, &depths, &(tags.len() as u16).to_le_bytes(), &tags.concat(), &[0; 4]].concat()
}

#[test]
fn tiffs_of_other_kinds() {
    let gray = decode(&tiff(2, 1, [8, 1, 1, 1], &[9, 200])).unwrap();
    assert_eq!((gray.get_pixel(0, 0).0, gray.get_pixel(1, 0).0), ([9; 3], [200; 3]));
    let cmyk = decode(&tiff(2, 1, [8, 5, 4, 1], &[0, 0, 0, 0, 0, 255, 255, 0])).unwrap();
    assert_eq!((cmyk.get_pixel(0, 0).0, cmyk.get_pixel(1, 0).0), ([255; 3], [255, 0, 0]));
    // Numbers in 0…1, and beyond.
    let picture = ImageBuffer::from_fn(2, 1, |x, _| Rgb([[0.0f32, 1.0, 0.5], [7.0, -1.0, f32::INFINITY]][x as usize]));
    let float = decode(&encoded(&DynamicImage::ImageRgb32F(picture), ImageFormat::Tiff)).unwrap();
    assert_eq!((float.get_pixel(0, 0).0, float.get_pixel(1, 0).0), ([0, 255, 128], [255, 0, 255]));
    for kind in [[32, 1, 1, 3], [8, 8, 3, 1], [64, 1, 1, 3], [8, 3, 1, 1]] {
        let error = decode(&tiff(1, 1, kind, &[0; 8])).unwrap_err();
        assert!(error.contains("cannot be decoded") && error.contains("support"), "{kind:?}: {error}");
    }
}

#[test]
fn palettes_have_transparency() {
    let chunks = [png_chunk(b"PLTE", &[10, 20, 30, 200, 100, 0]), png_chunk(b"tRNS", &[255, 0])];
    let rgb = decode(&png(2, 1, [8, 3], &chunks, &[0, 0, 1])).unwrap();
    assert_eq!((rgb.get_pixel(0, 0).0, rgb.get_pixel(1, 0).0), ([10, 20, 30], [255; 3]));
    // An index beyond the palette.
    assert!(decode(&png(2, 1, [8, 3], &chunks[..1], &[0, 0, 9])).is_ok_and(|rgb| rgb.get_pixel(0, 0).0 == [10, 20, 30]));
    let gray = decode(&png(3, 1, [1, 0], &[], &[0, 0b0100_0000])).unwrap();
    assert_eq!(gray.pixels().map(|p| p.0[0]).collect::<Vec<_>>(), [0, 255, 0]);
}

#[test]
fn of_an_animation_the_first_frame_is_seen() {
    let mut gif = vec![];
    let frame = |red| Frame::new(RgbaImage::from_pixel(4, 3, Rgba([red, 0, 0, 255])));
    GifEncoder::new(&mut gif).encode_frames([frame(200), frame(9), frame(50)]).unwrap();
    let mut apng = vec![];
    let mut encoder = png::Encoder::new(&mut apng, 1, 1);
    encoder.set_animated(2, 0).unwrap();
    let mut writer = encoder.write_header().unwrap();
    [[200], [9]].iter().for_each(|gray| writer.write_image_data(gray).unwrap());
    writer.finish().unwrap();
    let mut still = vec![];
    image::codecs::webp::WebPEncoder::new_lossless(&mut still).encode(&[200, 0, 0], 1, 1, ExtendedColorType::Rgb8).unwrap();
    let chunk = |name: &[u8; 4], data: &[u8]| [name, &(data.len() as u32).to_le_bytes()[..], data].concat();
    let frame = chunk(b"ANMF", &[&[0; 16][..], &still[12..]].concat());
    let body = [b"WEBP".to_vec(), chunk(b"VP8X", &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0]), chunk(b"ANIM", &[0; 6]), frame.clone(), frame].concat();
    let webp = chunk(b"RIFF", &body);
    for bytes in [gif, apng, webp] {
        let red = decode(&bytes).unwrap().get_pixel(0, 0).0[0];
        assert!(red.abs_diff(200) <= 1, "{red}");
    }
}

#[test]
fn sizes_of_nothing_are_told() {
    assert!(decode(b"GIF89a\0\0\0\0\0\0\0;").is_err());
    assert!(decode(b"P6 0 4 255\n").is_err());
    assert!(decode(&png(0, 5, [8, 0], &[], &[])).unwrap_err().contains("dimensions"));
    let mut jpeg = encoded(&colours(4, 3), ImageFormat::Jpeg);
    let size = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap() + 5;
    jpeg[size..size + 4].fill(0);
    assert!(decode(&jpeg).is_err());
}

#[test]
fn what_the_file_packs_counts_as_what_it_becomes() {
    // One bit a pixel, and 24 once it is RGB.
    let error = decode(&png(16_000, 16_000, [1, 0], &[], &[0; 9])).unwrap_err();
    assert!(error.contains("16000×16000") && error.contains("limit of 512 MiB"), "{error}");
}

#[test]
fn jpegs_need_their_end() {
    let whole = encoded(&colours(64, 48), ImageFormat::Jpeg);
    // A thumbnail's end is not the picture's.
    let thumbnail = encoded(&colours(4, 3), ImageFormat::Jpeg);
    let app1 = [&[0xff, 0xe1], &(thumbnail.len() as u16 + 2).to_be_bytes()[..], &thumbnail].concat();
    let with = [&whole[..2], &app1, &whole[2..]].concat();
    assert_eq!(decode(&with).unwrap(), decode(&whole).unwrap());
    assert!(decode(&with[..with.len() - 20]).unwrap_err().contains("truncated"));
    assert!(decode(&[&whole[..], b"what cameras append"].concat()).is_ok());
}

#[test]
fn parts_of_webp_fit_into_the_file_and_the_canvas() {
    let chunk = |name: &[u8; 4], length: u32, data: &[u8]| [name, &length.to_le_bytes()[..], data].concat();
    let file = |chunks: &[Vec<u8>]| [&b"RIFF\xff\0\0\0WEBP"[..], &chunks.concat()].concat();
    let canvas = chunk(b"VP8X", 10, &[8, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let lossy = chunk(b"VP8 ", 10, b"\x30\x01\0\x9d\x01\x2a\xff\x3f\xff\x3f");
    let error = |chunks: &[Vec<u8>]| decode(&file(chunks)).unwrap_err();
    assert!(error(&[canvas.clone(), chunk(b"EXIF", 0xffff_fff0, b"Exif")]).contains("truncated"));
    assert!(error(&[canvas.clone(), lossy.clone()]).contains("another size"));
    let frame = chunk(b"ANMF", 34, &[&[0; 16][..], &lossy].concat());
    assert!(error(&[canvas.clone(), frame.clone()]).contains("another size"));
    // Frames within frames are no deeper than a stack.
    let depth = 100_000;
    let nested = (0..depth).flat_map(|level| chunk(b"ANMF", (depth - level) * 24 - 8, &[0; 16])).collect();
    assert!(decode(&file(&[canvas, nested])).is_err());
}
