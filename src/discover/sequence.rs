//! Folders of numbered frames: their files in the order of their numbers.

use std::{
    cmp::Ordering,
    fs, io,
    path::{Path, PathBuf},
};

use super::name;

/// The files of a folder that are named as frames are, in natural order, so that 2 stands before
/// 10: hidden ones, links, folders and outputs of this program are left out.
///
/// # Errors
/// When the folder can't be read, or a name has no number.
pub fn frames(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if entry.file_type()?.is_file() && !hidden && !name::is_own_output(&path) {
            files.push(path);
        }
    }
    files.sort_by(|a, b| {
        let bytes = |p: &Path| p.file_name().map(|n| n.as_encoded_bytes().to_vec());
        natural(&bytes(a).unwrap_or_default(), &bytes(b).unwrap_or_default())
    });
    Ok(files)
}

/// Whether a name has a number in front of its suffix.
#[must_use]
pub fn numbered(path: &Path) -> bool {
    path.file_stem()
        .is_some_and(|s| s.as_encoded_bytes().iter().any(u8::is_ascii_digit))
}

/// Digits count as numbers, everything else byte by byte; equal numbers by their length.
fn natural(a: &[u8], b: &[u8]) -> Ordering {
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        if a[i].is_ascii_digit() && b[j].is_ascii_digit() {
            let run = |s: &[u8], from: usize| {
                s[from..]
                    .iter()
                    .position(|c| !c.is_ascii_digit())
                    .map_or(s.len(), |n| from + n)
            };
            let (x, y) = (run(a, i), run(b, j));
            let digits = |s: &[u8]| {
                let zeros = s.iter().take_while(|c| **c == b'0').count();
                s[zeros..].to_vec()
            };
            let (p, q) = (digits(&a[i..x]), digits(&b[j..y]));
            let order = p.len().cmp(&q.len()).then_with(|| p.cmp(&q));
            if order != Ordering::Equal {
                return order;
            }
            (i, j) = (x, y);
        } else if a[i] == b[j] {
            (i, j) = (i + 1, j + 1);
        } else {
            return a[i].cmp(&b[j]);
        }
    }
    (a.len() - i).cmp(&(b.len() - j)).then_with(|| a.cmp(b))
}

/// The name of a frame's output in a folder.
#[must_use]
pub fn output(folder: &Path, frame: &Path, format: crate::Format) -> PathBuf {
    folder.join(name::with_format(&name::file_only(frame), format, false))
}
