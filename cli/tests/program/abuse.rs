//! Programs that are killed, disks that are full, readers that go, pictures that unpack to more than memory, names that command terminals.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{Scratch, chelsea, cifar10, has_gpu, macula};

/// The program on the CPU device, as `macula` runs it.
fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_macula"));
    command.env("MACULA_DEVICE", "cpu").env_remove("RUST_LOG").env("MACULA_CACHE_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"));
    command
}

/// Runs a command again and again and kills it each time, a little later up to `last`.
fn kill(mut command: Command, times: u32, last: Duration) {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    for time in 0..times {
        let mut child = command.spawn().unwrap();
        std::thread::sleep(last * time / times);
        // SIGKILL; a program that has ended is none the worse.
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

/// A network that passes its input on, `f32[1,3,height,width]`.
fn identity(height: u16, width: u16) -> Vec<u8> {
    let field = |number: u8, bytes: &[u8]| [&[number << 3 | 2, bytes.len() as u8], bytes].concat();
    let dim = |extent: u16| field(1, &[8, extent as u8 | 0x80, (extent >> 7) as u8 & 0x7f]);
    let shape = field(2, &[dim(1), dim(3), dim(height), dim(width)].concat());
    let value = |name: &[u8]| [field(1, name), field(2, &field(1, &[&[8, 1], &shape[..]].concat()))].concat();
    let node = field(1, &[field(1, b"x"), field(2, b"y"), field(4, b"Identity")].concat());
    [field(7, &[node, field(11, &value(b"x")), field(12, &value(b"y"))].concat()), field(8, &[16, 17])].concat()
}

#[test]
fn what_a_killed_program_leaves_is_whole() {
    let (scratch, whole, out) = (Scratch::new(), Scratch::new(), Scratch::new());
    let model = scratch.file("identity.onnx", identity(400, 500));
    let outputs = ["y.npy", "picture.bmp"];
    let run = |inputs: &[&str], folder: &Scratch| {
        let mut run = command();
        run.args(["run", &model, "--output", &folder.path(""), "--image-out", &folder.path("picture.bmp"), "--as", "stretch"]);
        run.args(inputs).stdout(Stdio::null()).stderr(Stdio::null());
        run
    };
    assert!(run(&["--random"], &whole).status().unwrap().success());
    let input = whole.path("y.npy");
    let names = || -> Vec<String> {
        let entries = std::fs::read_dir(out.path("")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let same = |name: &&str| std::fs::read(out.path(name)).unwrap() == std::fs::read(whole.path(name)).unwrap();
    for time in 0..16u64 {
        for name in names() {
            std::fs::remove_file(out.path(&name)).unwrap();
        }
        let mut child = run(&["--input", &input], &out).spawn().unwrap();
        // From the moment on when the first output, or what is to become of it, is there.
        while names().is_empty() && child.try_wait().unwrap().is_none() {}
        std::thread::sleep(Duration::from_micros(time / 2 * 300));
        child.kill().unwrap();
        child.wait().unwrap();
        for name in names() {
            let temporary = name.starts_with(".macula-") && name.ends_with(".part");
            assert!(
                temporary || outputs.iter().any(|output| *output == name && same(output)),
                "killed for the {time}th time: half of {name}"
            );
        }
    }
    assert!(run(&["--input", &input], &out).status().unwrap().success());
    assert!(outputs.iter().all(same));
}

#[test]
fn caches_of_killed_programs_are_whole_or_absent() {
    if !has_gpu() {
        return;
    }
    let scratch = Scratch::new();
    let folder = scratch.path("cache");
    let arguments = ["classify", "--device", "gpu", "--tune", "--json", "--cache-dir", &folder];
    let mut classify = command();
    classify.args(arguments);
    kill(classify, 12, Duration::from_millis(2400));
    // Without a word of warning about what lies there.
    let run = macula(["classify", "--device", "gpu", "--json", "--cache-dir", &folder]).ok();
    assert_eq!(run.json()[0]["top"][0]["label"], "cat");
    assert!(!run.stderr.contains(&folder), "{}", run.stderr);
}

#[test]
fn a_reader_that_goes_ends_the_program_quietly() {
    let scratch = Scratch::new();
    for number in 0..60 {
        std::fs::copy(chelsea(), scratch.path(&format!("{number:02}.png"))).unwrap();
    }
    for arguments in [&["classify", "--json"][..], &["classify"]] {
        let mut classify = command();
        classify.args(arguments).arg(scratch.path("")).args(["--batch", "1"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = classify.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
    }
}

#[test]
fn a_full_disk_is_told() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    for arguments in [&["classify"][..], &["classify", "--json"], &["devices"], &["completions", "bash"]] {
        let output = command().args(arguments).stdout(File::create("/dev/full").unwrap()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && error.contains("cannot write the output: No space left"), "{arguments:?}: {error}");
    }
    let model = cifar10();
    let full = |flag: &str| macula(["profile", model.to_str().unwrap(), flag, "/dev/full"]);
    full("--trace").fails(1, &["/dev/full: cannot be written: No space left"]);
}

/// zlib's stream of `count` zeros, less its checksum: 13 bits for 258 of them. Source: RFC 1951, 3.2.6.
fn packed_zeros(count: usize) -> Vec<u8> {
    // One block of fixed codes; a zero as it is, then the longest copies of the byte before.
    let (mut bytes, mut held, mut bits) = (vec![0x78, 1], 0u64, 0);
    let mut put = |code: u64, length: u32| {
        held |= code << bits;
        bits += length;
        while bits >= 8 {
            bytes.push(held as u8);
            (held, bits) = (held >> 8, bits - 8);
        }
    };
    put(0b011, 3);
    put(0b0000_1100, 8);
    (0..count / 258).for_each(|_| put(0b0_0000_1010_0011, 13));
    put(0, 8);
    bytes
}

fn png(head: &[u8], chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let table: Vec<u32> =
        (0..256u32).map(|byte| (0..8).fold(byte, |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })).collect();
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, data) in [(b"IHDR", head)].iter().chain(chunks) {
        let crc = name.iter().chain(*data).fold(!0u32, |crc, byte| table[((crc ^ u32::from(*byte)) & 255) as usize] ^ crc >> 8);
        bytes.extend([&(data.len() as u32).to_be_bytes(), &name[..], data, &(!crc).to_be_bytes()].concat());
    }
    bytes
}

/// Each of these is a few kilobytes to a few megabytes, and unpacks, or says that it does, to gigabytes.
#[test]
fn pictures_that_unpack_to_more_than_memory() {
    let scratch = Scratch::new();
    let side = |pixels: u32| [pixels.to_be_bytes(), pixels.to_be_bytes()].concat();
    let zeros = packed_zeros(3 << 30);
    let pixel = b"\x78\x01\x01\x02\0\xfd\xff\0\x50\0\x52\0\x51";
    let gray = |pixels| [&side(pixels)[..], &[8, 0, 0, 0, 0]].concat();
    let text = [b"Raw profile type exif\0\0", &zeros[..]].concat();
    let profile = [b"icc\0\0", &zeros[..]].concat();
    scratch.file("1-text.png", png(&gray(1), &[(b"zTXt", &text), (b"IDAT", pixel), (b"IEND", b"")]));
    scratch.file("2-profile.png", png(&gray(1), &[(b"iCCP", &profile), (b"IDAT", pixel), (b"IEND", b"")]));
    scratch.file("3-pixels.png", png(&gray(65_535), &[(b"IDAT", &zeros)]));
    scratch.file("4-bits.png", png(&[&side(23_000)[..], &[1, 0, 0, 0, 0]].concat(), &[(b"IDAT", &zeros)]));
    scratch.file("5-canvas.gif", b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0;");
    scratch.file("6-frame.gif", b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\xff\x2c\xff\x2c\0\x02\x02\x44\x01\0;");
    scratch.file("7-exif.webp", b"RIFF\xff\0\0\0WEBPVP8X\x0a\0\0\0\x08\0\0\0\0\0\0\0\0\0EXIF\xf0\xff\xff\xffExif");
    scratch.file("8-many.ppm", "P6 99999999 99999999 255\n");
    let mut bmp = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    bmp.extend([60_000i32.to_le_bytes(), 60_000i32.to_le_bytes()].concat());
    bmp.extend([&[1, 0, 24, 0][..], &[0; 28]].concat());
    scratch.file("9-many.bmp", bmp);
    // An allocation beyond this ends the program; its own code and threads take some of it.
    let limited = format!("ulimit -v {}; exec \"$@\"", 1 << 20);
    let mut classify = Command::new("sh");
    classify.args(["-c", &limited, "sh", env!("CARGO_BIN_EXE_macula"), "classify", &scratch.path(""), "--json"]);
    classify.env("MACULA_DEVICE", "cpu").env("RAYON_NUM_THREADS", "2").env("MALLOC_ARENA_MAX", "1");
    let output = classify.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let answers: Vec<serde_json::Value> =
        output.stdout.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let errors: Vec<&str> = answers.iter().map(|answer| answer["error"].as_str().unwrap_or("none")).collect();
    let expected = ["none", "none", "limit", "limit", "limit", "limit", "truncated", "limit", "limit"];
    assert!(errors.len() == 9 && errors.iter().zip(expected).all(|(error, word)| error.contains(word)), "{errors:#?}");
}

#[test]
fn files_without_an_end_are_not_read_to_it() {
    let model = cifar10();
    let zero = "/dev/zero";
    macula(["run", model.to_str().unwrap(), "--input", zero]).fails(1, &["/dev/zero: not a .npy file"]);
    macula(["classify", "--labels", zero]).fails(1, &["/dev/zero: larger than the limit of 64 MiB"]);
    macula(["classify", zero]).fails(1, &["/dev/zero: larger than the limit of 512 MiB"]);
}

#[test]
fn names_reach_the_terminal_as_text() {
    let scratch = Scratch::new();
    let folder = scratch.path("");
    let names = ["\u{1b}]0;title\u{7}.png", "\u{9b}2J.png"];
    for name in names {
        std::fs::copy(chelsea(), scratch.path(name)).unwrap();
    }
    // Not UTF-8, and not a picture.
    let broken = Path::new(&folder).join(OsStr::from_bytes(b"\x1bc\xff.png"));
    std::fs::write(broken, "x").unwrap();
    for json in [None, Some("--json")] {
        let run = macula(["classify", &folder].into_iter().chain(json)).fails(1, &["\\u001bc\u{fffd}.png: not a picture"]);
        let all = run.stdout.clone() + &run.stderr;
        assert!(
            !all.contains(['\u{1b}', '\u{9b}', '\u{7}']) && all.contains("\\u001b]0;title\\u0007.png") && all.contains("\\u009b2J.png"),
            "{all}"
        );
        if json.is_some() {
            assert!(run.json().iter().any(|answer| answer["file"].as_str().unwrap().ends_with(names[0])));
        }
    }
}
