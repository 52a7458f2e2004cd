//! The rules that keep the rooms apart, read off their sources.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs,
    path::{Path, PathBuf},
};

const ROOMS: [&str; 11] = [
    "cage", "decode", "detect", "discover", "encode", "redact", "report", "sound", "track",
    "verify", "write",
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
        if entry.is_dir() {
            all.extend(sources(&entry));
        } else if entry.extension().is_some_and(|e| e == "rs") {
            all.push(entry);
        }
    }
    all
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn rooms_do_not_import_each_other() {
    // Encoders take what only `redact` makes, and a report names what `decode` dropped.
    let allowed = [("encode", "redact"), ("report", "decode")];
    for room in ROOMS {
        for file in sources(&src().join(room)) {
            let text = fs::read_to_string(&file).unwrap();
            for other in ROOMS
                .iter()
                .filter(|o| **o != room && !allowed.contains(&(room, **o)))
            {
                let named = [
                    format!("crate::{other}"),
                    format!("    {other}::"),
                    format!("{{{other}::"),
                ];
                assert!(
                    !named.iter().any(|n| text.contains(n.as_str())),
                    "{} imports {other}",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn only_one_file_names_the_runtime_and_only_two_the_bar() {
    for (word, files) in [
        ("ort::", &["session.rs"][..]),
        ("indicatif", &["progress.rs", "messages.rs"]),
    ] {
        for file in sources(&src()) {
            let name = file.file_name().unwrap().to_str().unwrap();
            let uses = fs::read_to_string(&file).unwrap().lines().any(|l| {
                !l.trim_start().starts_with("//")
                    && (l.contains(&format!(" {word}")) || l.contains(&format!("({word}")))
            });
            assert!(
                !uses || files.contains(&name),
                "{} names {word}",
                file.display()
            );
        }
    }
}

#[test]
fn there_is_no_network_code() {
    for file in sources(&src()) {
        let text = fs::read_to_string(&file).unwrap();
        for word in ["std::net", "TcpStream", "UdpSocket", "http::"] {
            assert!(!text.contains(word), "{} has {word}", file.display());
        }
    }
}
