//! What decoders let pass or find out too late: files that end before their pictures do, and parts that claim to be larger than the whole.

use image::ImageFormat;

/// Why a file cannot hold the picture that it promises.
pub fn check(bytes: &[u8], format: ImageFormat) -> Result<(), &'static str> {
    match format {
        ImageFormat::Jpeg if !jpeg_ends(bytes) => Err("the file ends before its picture does; it is truncated"),
        ImageFormat::WebP => webp(bytes.get(12..).unwrap_or_default(), None, false),
        _ => Ok(()),
    }
}

/// Whether a JPEG file comes to its end-of-image marker; the decoder paints what is missing gray. Source: ITU-T T.81, B.1.1.
fn jpeg_ends(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(found) = bytes.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0xff)) {
        at += found + 1;
        match bytes.get(at) {
            Some(0xd9) => return true,
            // Entropy-coded data, fill bytes, restarts: no length follows.
            Some(0x00 | 0x01 | 0xff | 0xd0..=0xd8) => {}
            // Segments are skipped, for those of an embedded thumbnail do not count.
            Some(_) => {
                let Some(&[high, low]) = bytes.get(at + 1..at + 3) else { return false };
                at += 1 + usize::from(u16::from_be_bytes([high, low])).max(2);
            }
            None => return false,
        }
    }
    false
}

/// WebP's chunks, those of a canvas or of a frame, of this size: its decoder takes the memory for them before it looks.
/// Source: RFC 9649, 2.3 to 2.7.
fn webp(mut rest: &[u8], mut size: Option<[u32; 2]>, within_frame: bool) -> Result<(), &'static str> {
    let u24 = |bytes: &[u8], at: usize| bytes.get(at..at + 3).map(|b| u32::from_le_bytes([b[0], b[1], b[2], 0]) + 1);
    while let Some((head, after)) = rest.split_first_chunk::<8>() {
        let [name @ .., a, b, c, d] = head;
        let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        let Some(chunk) = after.get(..length) else {
            // What no decoder reads may be anything.
            let read = [b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"EXIF", b"ICCP", b"XMP "].contains(&name);
            return if read { Err("the file ends inside of one of its chunks; it is truncated") } else { Ok(()) };
        };
        match name {
            b"VP8X" => size = u24(chunk, 4).zip(u24(chunk, 7)).map(|(width, height)| [width, height]),
            b"ANMF" if !within_frame => {
                let frame = u24(chunk, 6).zip(u24(chunk, 9)).map(|(width, height)| [width, height]);
                webp(chunk.get(16..).unwrap_or_default(), frame, true)?;
            }
            b"VP8 " => {
                let of = |at: usize| chunk.get(at..at + 2).map(|b| u32::from(u16::from_le_bytes([b[0], b[1]])) & 0x3fff);
                if let (Some(size), Some(width), Some(height)) = (size, of(6), of(8))
                    && size != [width, height]
                {
                    return Err("its picture has another size than its canvas or frame");
                }
            }
            _ => {}
        }
        rest = after.get(length + length % 2..).unwrap_or_default();
    }
    Ok(())
}
