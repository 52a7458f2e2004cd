//! The same targets under libFuzzer, which keeps what reaches new code. Only with the feature
//! `guided` and the compiler's flags in `fuzz/README.md`; `UNFACE_TARGET` names the target.
#![cfg_attr(feature = "guided", no_main)]

#[cfg(feature = "guided")]
#[path = "../seeds.rs"]
#[allow(dead_code)]
mod seeds;
#[cfg(feature = "guided")]
#[path = "../targets.rs"]
#[allow(dead_code)]
mod targets;

#[cfg(feature = "guided")]
mod run {
    use std::sync::LazyLock;

    use super::targets::{ALL, Target};

    static TARGET: LazyLock<&Target> = LazyLock::new(|| {
        let name = std::env::var("UNFACE_TARGET").unwrap_or_default();
        ALL.iter()
            .find(|t| t.name == name)
            .unwrap_or_else(|| panic!("UNFACE_TARGET must be one of the targets"))
    });

    libfuzzer_sys::fuzz_target!(|data: &[u8]| {
        (TARGET.run)(data);
    });
}

#[cfg(not(feature = "guided"))]
fn main() {
    eprintln!("built without the feature `guided`; see fuzz/README.md");
    std::process::exit(2);
}
