//! Folders.

use std::{
    io,
    path::{Path, PathBuf},
};

use ignore::WalkBuilder;

use super::{Plan, Unfollowed, name};

/// Calls `found` with each ordinary file below `root` and its path from there, by name. Folders
/// that can't be read are put on the plan's list of failures.
pub(super) fn folder(
    root: &Path,
    outputs: Option<&Path>,
    plan: &mut Plan,
    mut found: impl FnMut(PathBuf, PathBuf),
) {
    let outputs = outputs.map(Path::to_path_buf);
    let walk = WalkBuilder::new(root)
        .standard_filters(false)
        .hidden(true)
        .follow_links(false)
        .sort_by_file_name(std::ffi::OsStr::cmp)
        .filter_entry(move |entry| {
            // The output folder may lie inside; its content must never be taken as input.
            let is_dir = entry.file_type().is_some_and(|t| t.is_dir());
            let own = is_dir && entry.depth() > 0 && name::is_own_folder(entry.path());
            let target = || {
                let whole = std::fs::canonicalize(entry.path()).ok();
                is_dir && outputs.is_some() && whole == outputs
            };
            !own && !target()
        })
        .build();
    for entry in walk {
        match entry {
            Err(error) => {
                let path = failed_path(&error).unwrap_or(root).to_path_buf();
                let text = error.to_string();
                plan.failed.push((
                    path,
                    error
                        .into_io_error()
                        .unwrap_or_else(|| io::Error::other(text)),
                ));
            }
            Ok(entry) if entry.file_type().is_some_and(|t| t.is_file()) => {
                if name::is_own_output(entry.path()) {
                    continue;
                }
                let below = entry.path().strip_prefix(root).map(Path::to_path_buf);
                let below = below.unwrap_or_else(|_| name::file_only(entry.path()));
                found(entry.into_path(), below);
            }
            Ok(entry) if entry.depth() > 0 && !entry.file_type().is_some_and(|t| t.is_dir()) => {
                let what = if entry.path_is_symlink() {
                    Unfollowed::Link
                } else {
                    Unfollowed::Special
                };
                plan.unfollowed.push((entry.into_path(), what));
            }
            Ok(_) => {}
        }
    }
}

fn failed_path(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => {
            failed_path(err)
        }
        ignore::Error::Loop { child, .. } => Some(child),
        _ => None,
    }
}
