//! Pictures that the program writes.

use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageFormat, RgbImage};

use crate::failure::Failure;
use crate::files;

/// Fails where a file's name does not say which kind of picture it is, before there is work to lose.
pub fn check_name(path: &Path) -> Result<ImageFormat, Failure> {
    let format = ImageFormat::from_path(path).ok().filter(ImageFormat::writing_enabled);
    format.ok_or_else(|| {
        Failure::usage(format!("{}: name a picture file by its ending, as out.png (bmp, jpg, png, tiff, webp)", path.display()))
    })
}

/// Writes a picture in the format that the file's name ends with, whole or not at all.
pub fn save(path: &Path, picture: &DynamicImage) -> Result<(), Failure> {
    let format = check_name(path)?;
    let bytes = encode(picture, format).map_err(|e| Failure::failed(format!("{}: cannot be encoded: {e}", path.display())))?;
    files::write(path, &bytes)
}

/// A picture as the bytes of a PNG file.
pub fn png(picture: &RgbImage) -> Result<Vec<u8>, Failure> {
    encode(&DynamicImage::ImageRgb8(picture.clone()), ImageFormat::Png)
        .map_err(|e| Failure::failed(format!("a picture cannot be encoded: {e}")))
}

fn encode(picture: &DynamicImage, format: ImageFormat) -> image::ImageResult<Vec<u8>> {
    let mut bytes = Cursor::new(vec![]);
    picture.write_to(&mut bytes, format)?;
    Ok(bytes.into_inner())
}

/// Planes `[height, width]` of red, green and blue in 0–255 as a picture; one plane is gray.
pub fn from_planes(planes: &[Vec<f32>], [height, width]: [usize; 2]) -> RgbImage {
    let byte = |v: f32| v.round().clamp(0.0, 255.0) as u8;
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let at = y as usize * width + x as usize;
        image::Rgb(std::array::from_fn(|channel| byte(planes[channel.min(planes.len() - 1)][at])))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_the_format() {
        assert_eq!(check_name(Path::new("a/b.PNG")).unwrap(), ImageFormat::Png);
        assert_eq!(check_name(Path::new("b.jpeg")).unwrap(), ImageFormat::Jpeg);
        for name in ["picture", "x.npy", "x.dds"] {
            let error = check_name(Path::new(name)).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("out.png"), "{error}");
        }
    }

    #[test]
    fn planes_become_pixels() {
        let picture = from_planes(&[vec![0., 300., 1.4], vec![10., 20., 30.], vec![-5., f32::NAN, 1.6]], [1, 3]);
        assert_eq!(picture.pixels().map(|p| p.0).collect::<Vec<_>>(), [[0, 10, 0], [255, 20, 0], [1, 30, 2]]);
        assert_eq!(from_planes(&[vec![7.], vec![]][..1], [1, 1]).get_pixel(0, 0).0, [7; 3]);
    }
}
