//! Every kind of leak that a video's container can hold, planted in clean outputs: each must be
//! named. The same for stills is in `tests/verify.rs`. Needs what `tests/video.rs` needs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs
)]

use std::{fs, path::Path, process::Command};

use unface::verify::{LeakKind, inspect};

/// A clean output with sound; `None` without ffmpeg.
fn clean(suffix: &str) -> Option<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let input = format!("in.{suffix}");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg
        .current_dir(dir.path())
        .args([
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=64x48:rate=10:duration=1",
        ])
        .args(["-f", "lavfi", "-i", "sine=duration=1"]);
    if suffix == "webm" {
        ffmpeg.args(["-c:v", "libvpx-vp9", "-c:a", "libopus"]);
    }
    if !ffmpeg.arg(&input).status().is_ok_and(|s| s.success()) {
        eprintln!("skipped: ffmpeg is not installed, or has no such encoder");
        return None;
    }
    let output = format!("out.{suffix}");
    let out = Command::new(env!("CARGO_BIN_EXE_unface"))
        .current_dir(dir.path())
        .args([
            &input, "-o", &output, "-q", "--audio", "keep", "--cover", "1,1,9,9",
        ])
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let bytes = fs::read(dir.path().join(Path::new(&output))).unwrap();
    assert_eq!(inspect(&bytes).leaks, [], "a clean {suffix}");
    Some(bytes)
}

#[track_caller]
fn flagged(bytes: &[u8], kinds: &[LeakKind], what: &str) {
    let leaks = inspect(bytes).leaks;
    assert!(
        leaks.iter().any(|l| kinds.contains(&l.kind)),
        "{what}: {leaks:?}"
    );
}

/// A box: where it begins and ends.
fn find_box(mp4: &[u8], path: &[&[u8; 4]]) -> (usize, usize) {
    let (mut from, mut to) = (0, mp4.len());
    let mut found = (0, 0);
    for name in path {
        let mut at = from;
        loop {
            assert!(at + 8 <= to, "no box {}", name.escape_ascii());
            let size = u32::from_be_bytes(mp4[at..at + 4].try_into().unwrap()) as usize;
            if &mp4[at + 4..at + 8] == *name {
                found = (at, at + size);
                break;
            }
            at += size;
        }
        // Children of a sample description stand behind its count.
        from = found.0
            + if *name == b"stsd" || *name == b"dref" {
                16
            } else {
                8
            };
        to = found.1;
    }
    found
}

/// `mp4` with a box at the end of the one that `path` names, whose holders grow.
fn with_box(mp4: &[u8], path: &[&[u8; 4]], name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let size = 8 + body.len() as u32;
    let boxed = [&size.to_be_bytes()[..], name, body].concat();
    let mut bytes = mp4.to_vec();
    for depth in 1..=path.len() {
        let (start, end) = find_box(mp4, &path[..depth]);
        let grown = (end - start) as u32 + size;
        bytes[start..start + 4].copy_from_slice(&grown.to_be_bytes());
    }
    let at = if path.is_empty() {
        mp4.len()
    } else {
        find_box(mp4, path).1
    };
    bytes.splice(at..at, boxed);
    bytes
}

#[test]
fn every_leak_put_into_a_clean_mp4_is_flagged() {
    let Some(mp4) = clean("mp4") else { return };
    let media = [b"moov", b"trak", b"mdia"];
    let table = [b"moov", b"trak", b"mdia", b"minf", b"stbl"];
    let deep: [&[&[u8; 4]]; 6] = [
        &[],
        &[b"moov"],
        &[b"moov", b"trak"],
        &media,
        &[b"moov", b"trak", b"mdia", b"minf"],
        &table,
    ];
    for path in deep {
        for (name, body) in [
            (b"udta", &b"\0\0\0\x0c\xa9nam\0\x01CANARY"[..]),
            (b"meta", b"\0\0\0\0CANARY"),
            (b"uuid", b"0123456789abcdefCANARY"),
            (b"free", b"CANARY"),
            (b"skip", b"CANARY"),
            (b"wide", b"CANARY"),
            (b"Xtra", b"CANARY"),
            (b"name", b"CANARY"),
            (b"gps ", b"CANARY"),
            (b"iods", b"CANARY"),
            (b"moof", b"CANARY"),
            (b"mfra", b"CANARY"),
            (b"thmb", b"CANARY"),
            (b"sgpd", b"CANARY"),
            (b"subs", b"CANARY"),
        ] {
            let bytes = with_box(&mp4, path, name, body);
            let what = format!("{} in {} boxes", name.escape_ascii(), path.len());
            flagged(
                &bytes,
                &[LeakKind::Comment, LeakKind::Unknown, LeakKind::Slack],
                &what,
            );
        }
    }
    flagged(
        &[&mp4[..], b"CANARY behind the end"].concat(),
        &[LeakKind::Trailing, LeakKind::Unknown],
        "bytes behind the end",
    );
    flagged(
        &with_box(&mp4, &[], b"mdat", b"CANARY"),
        &[LeakKind::Unknown],
        "data that nothing uses",
    );
    // Times of making and changing, in seconds since 1904.
    for (path, at) in [
        (&[b"moov", b"mvhd"][..], 12),
        (&[b"moov", b"mvhd"], 16),
        (&[b"moov", b"trak", b"tkhd"], 12),
        (&[b"moov", b"trak", b"tkhd"], 16),
        (&[b"moov", b"trak", b"mdia", b"mdhd"], 12),
        (&[b"moov", b"trak", b"mdia", b"mdhd"], 16),
    ] {
        let mut bytes = mp4.clone();
        let start = find_box(&mp4, path).0 + at;
        bytes[start..start + 4].copy_from_slice(&0xE0_00_00_00u32.to_be_bytes());
        assert_ne!(inspect(&bytes).leaks, [], "a time in {path:?}");
    }
    // A handler's name, the name of the compressor, a turn.
    let (start, end) = find_box(&mp4, &[b"moov", b"trak", b"mdia", b"hdlr"]);
    for at in start + 32..end {
        let mut bytes = mp4.clone();
        bytes[at] = b'C';
        assert_ne!(
            inspect(&bytes).leaks,
            [],
            "a handler's name at {}",
            at - start
        );
    }
    let entry = find_box(&mp4, &[&table[..], &[b"stsd"]].concat()).0 + 16;
    for at in entry + 8 + 42..entry + 8 + 74 {
        let mut bytes = mp4.clone();
        bytes[at] ^= b'C';
        assert_ne!(
            inspect(&bytes).leaks,
            [],
            "a compressor's name at {}",
            at - entry
        );
    }
    let matrix = find_box(&mp4, &[b"moov", b"trak", b"tkhd"]).0 + 48;
    let mut turned = mp4.clone();
    turned[matrix..matrix + 8].copy_from_slice(&[0, 0, 0, 0, 0, 1, 0, 0]);
    assert_ne!(inspect(&turned).leaks, [], "a display matrix");
    // A third track: subtitles, positions, a cover.
    for kind in [b"text", b"sbtl", b"meta", b"tmcd", b"vide"] {
        let (from, to) = find_box(&mp4, &[b"moov", b"trak"]);
        let mut track = mp4[from + 8..to].to_vec();
        let at = track.windows(4).position(|w| w == b"hdlr").unwrap() + 12;
        track[at..at + 4].copy_from_slice(kind);
        let bytes = with_box(&mp4, &[b"moov"], b"trak", &track);
        assert_ne!(
            inspect(&bytes).leaks,
            [],
            "a track of {}",
            kind.escape_ascii()
        );
    }
    // Supplemental data in the pictures: the first unit of the first sample becomes some.
    let data = find_box(&mp4, &[b"mdat"]).0 + 8;
    let mut sei = mp4.clone();
    sei[data + 4] = sei[data + 4] & 0xE0 | 6;
    assert_ne!(inspect(&sei).leaks, [], "supplemental data");
    for cut in [10, 50, 90, 99] {
        let cut = &mp4[..mp4.len() * cut / 100];
        assert_ne!(inspect(cut).leaks, [], "a file that is cut off");
    }
}

/// An element of a WebM file: its head's first byte, its body, its end.
fn find_element(webm: &[u8], path: &[u32]) -> (usize, usize, usize) {
    let number = |at: usize, keep: bool| {
        let length = webm[at].leading_zeros() as usize + 1;
        let first = if keep {
            u64::from(webm[at])
        } else {
            u64::from(webm[at]) & ((1 << (8 - length)) - 1)
        };
        let value = webm[at + 1..at + length]
            .iter()
            .fold(first, |n, b| n << 8 | u64::from(*b));
        (value, length)
    };
    let (mut from, mut to, mut found) = (0, webm.len(), (0, 0, webm.len()));
    for &wanted in path {
        let mut at = from;
        loop {
            assert!(at < to, "no element {wanted:x}");
            let (id, a) = number(at, true);
            let (size, b) = number(at + a, false);
            let end = at + a + b + size as usize;
            if id == u64::from(wanted) {
                found = (at, at + a + b, end);
                break;
            }
            at = end;
        }
        (from, to) = (found.1, found.2);
    }
    found
}

/// An element with the shortest length that holds its size.
fn element(id: u32, body: &[u8]) -> Vec<u8> {
    let size = body.len() as u64;
    let bytes = (1..=8).find(|n| size < (1 << (7 * n)) - 1).unwrap();
    element_of_length(id, body, bytes)
}

/// An element whose length takes this many bytes.
fn element_of_length(id: u32, body: &[u8], bytes: usize) -> Vec<u8> {
    let id: Vec<u8> = id
        .to_be_bytes()
        .into_iter()
        .skip_while(|b| *b == 0)
        .collect();
    let length = (body.len() as u64 | 1 << (7 * bytes)).to_be_bytes();
    [&id[..], &length[8 - bytes..], body].concat()
}

/// `webm` with `planted` at the end of the element that `path` names, whose holders grow.
fn with_element(webm: &[u8], path: &[u32], planted: &[u8]) -> Vec<u8> {
    let mut inner = planted.to_vec();
    let mut bytes = webm.to_vec();
    for depth in (1..=path.len()).rev() {
        let (start, body, end) = find_element(webm, &path[..depth]);
        // What stands in it is taken as it is now, changed inside already.
        let grown = if depth == path.len() {
            [&webm[body..end], &inner].concat()
        } else {
            let child = find_element(webm, &path[..depth + 1]);
            [&webm[body..child.0], &inner, &webm[child.2..end]].concat()
        };
        // Muxers leave room for the length of what they write before they know it.
        let id = path[depth - 1];
        let roomy = webm[body - 8] == 1;
        inner = if roomy {
            element_of_length(id, &grown, 8)
        } else {
            element(id, &grown)
        };
        if depth == 1 {
            bytes = [&webm[..start], &inner, &webm[end..]].concat();
        }
    }
    if path.is_empty() {
        bytes.extend(&inner);
    }
    bytes
}

#[test]
fn every_leak_put_into_a_clean_webm_is_flagged() {
    const SEGMENT: u32 = 0x1853_8067;
    const INFO: u32 = 0x1549_A966;
    const TRACKS: u32 = 0x1654_AE6B;
    const ENTRY: u32 = 0xAE;
    const CLUSTER: u32 = 0x1F43_B675;
    let Some(webm) = clean("webm") else { return };
    // Growing alone is no leak: an empty room is added behind everything that has a place in an index.
    let grown = with_element(&webm, &[SEGMENT], &element(0xEC, &[0; 4]));
    assert_eq!(inspect(&grown).leaks, [], "empty room");
    // Elsewhere growing moves what the indexes point to, which is flagged for itself.
    let moved = [
        "places of parts that are not there",
        "an index of frames that are not there",
    ];
    let leaks = |bytes: &[u8]| {
        let mut leaks = inspect(bytes).leaks;
        leaks.retain(|l| !moved.contains(&l.detail.as_str()));
        leaks
    };
    // Newer muxers end the text of a duration with one zero byte instead of two.
    let text = [SEGMENT, 0x1254_C367, 0x7373, 0x67C8, 0x4487];
    let (_, body, end) = find_element(&webm, &text);
    let mut shorter = webm.clone();
    if end - body == 20 {
        for depth in 1..=text.len() {
            let (_, body, _) = find_element(&webm, &text[..depth]);
            let last = (0..body).rev().find(|&i| shorter[i] > 0).unwrap();
            shorter[last] -= 1;
            shorter[last + 1..body].fill(0xFF);
        }
        shorter.remove(end - 1);
    }
    assert_eq!(leaks(&shorter), [], "a duration that is one byte shorter");
    let simple = |name: &[u8], value: &[u8]| {
        let tag = element(
            0x67C8,
            &[element(0x45A3, name), element(0x4487, value)].concat(),
        );
        element(
            0x1254_C367,
            &element(0x7373, &[element(0x63C0, b""), tag].concat()),
        )
    };
    let words: Vec<(&str, Vec<u8>)> = vec![
        ("a title", element(0x7BA9, b"CANARY")),
        ("a date", element(0x4461, &[1; 8])),
        ("an identifier", element(0x73A4, b"CANARYCANARYCANA")),
        ("a muxer's name", element(0x4D80, b"CANARY")),
        ("a program's name", element(0x5741, b"CANARY")),
        ("a track's name", element(0x536E, b"CANARY")),
        ("a file's name", element(0x7384, b"CANARY.mkv")),
        ("a codec's name", element(0x25_8688, b"CANARY")),
        (
            "a link to another file",
            element(0x3E_B923, b"CANARYCANARYCANA"),
        ),
        ("a language", element(0x22_B59C, b"can")),
        ("a language by its new name", element(0x22_B59D, b"CANARY")),
        ("room with something in it", element(0xEC, b"CANARY")),
        ("chapters", element(0x1043_A770, b"CANARY")),
        ("attachments", element(0x1941_A469, b"CANARY")),
        ("a tag", simple(b"TITLE", b"CANARY")),
        ("a tag in disguise", simple(b"DURATION", b"CANARY")),
        ("a tag in digits", simple(b"ENCODER", b"0123")),
        ("a checksum", element(0xBF, b"CANA")),
        ("an unknown element", element(0x4F_4F4F, b"CANARY")),
        ("additions to a block", element(0x75A1, b"CANARY")),
        ("an encrypted block", element(0xAF, b"CANARY")),
        (
            "a number that is text",
            element(0x55BA, b"CANARY, and a long one"),
        ),
        (
            "a frame of a track that is not there",
            element(0xA3, b"\x8f\0\0\0CANARY"),
        ),
        ("a block that is none", element(0xA3, b"")),
    ];
    for (what, planted) in &words {
        for path in [
            &[SEGMENT][..],
            &[SEGMENT, INFO],
            &[SEGMENT, TRACKS, ENTRY],
            &[SEGMENT, CLUSTER],
        ] {
            let bytes = with_element(&webm, path, planted);
            assert_ne!(leaks(&bytes), [], "{what} in {path:x?}");
        }
    }
    // A third track, of subtitles or of a second picture.
    for kind in [1u8, 0x11, 0x12, 0x21] {
        let track = [
            element(0xD7, &[9]),
            element(0x73C5, &[9]),
            element(0x83, &[kind]),
        ]
        .concat();
        let bytes = with_element(&webm, &[SEGMENT, TRACKS], &element(ENTRY, &track));
        assert_ne!(leaks(&bytes), [], "a track of kind {kind:x}");
    }
    assert_ne!(
        inspect(&[&webm[..], b"CANARY"].concat()).leaks,
        [],
        "bytes behind the end"
    );
    assert_ne!(
        inspect(&[&webm[..], &element(0xEC, b"CANARY")].concat()).leaks,
        [],
        "an element behind the end"
    );
    // A frame that is decoded and never shown.
    let (_, body, _) = find_element(&webm, &[SEGMENT, CLUSTER, 0xA3]);
    let mut hidden = webm.clone();
    hidden[body + 3] |= 0x08;
    flagged(&hidden, &[LeakKind::HiddenPixels], "a hidden frame");
    for cut in [10, 50, 90, 99] {
        let cut = &webm[..webm.len() * cut / 100];
        assert_ne!(inspect(cut).leaks, [], "a file that is cut off");
    }
}
