//! Throws broken files at every parser of unface, in one process, on the stable toolchain.
//!
//! `cargo run --release -p unface-fuzz -- TARGET|own|decoders|all [SECONDS] [SEED] [FOLDER]`
//!
//! Sound seeds are broken in a few ways at a time; bytes that lead to an outcome not seen before are
//! kept as further seeds. `--write FOLDER` instead writes the seeds, for the guided run. Bytes at which a target panics or takes longer than [`SLOW`] go to
//! `fuzz/found/`, and the exit code is 1. `FOLDER` holds further seeds, taken by their suffix.

mod mutate;
mod seeds;
mod targets;

use std::{
    collections::HashSet,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::ExitCode,
    sync::Mutex,
    time::{Duration, Instant},
};

use mutate::{Random, mend_nut, mend_png, mutate};
use targets::{ALL, Target};

/// One execution may take this long; files have at most 64 KiB and pictures 4 MiB.
const SLOW: Duration = Duration::from_secs(2);
/// An execution that takes this long is taken for endless, and ends the program.
const ENDLESS: Duration = Duration::from_secs(30);
/// Seeds that are kept.
const MOST_KEPT: usize = 3000;

/// What is being executed, for the watchman.
static NOW: Mutex<Option<(Instant, &'static str, Vec<u8>)>> = Mutex::new(None);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let wanted = args.first().map_or("all", String::as_str);
    if let ("--write", Some(folder)) = (wanted, args.get(1)) {
        return write_seeds(Path::new(folder));
    }
    let number = |at: usize, usual| args.get(at).and_then(|a| a.parse().ok()).unwrap_or(usual);
    let (seconds, seed) = (number(1, 2), number(2, 1));
    let chosen: Vec<&Target> = ALL
        .iter()
        .filter(|t| match wanted {
            "all" => true,
            "own" => t.own,
            "decoders" => !t.own,
            name => t.name == name,
        })
        .collect();
    if chosen.is_empty() {
        let names: Vec<_> = ALL.iter().map(|t| t.name).collect();
        eprintln!("no such target; there are {}", names.join(", "));
        return ExitCode::from(2);
    }
    // What panics is told below, with the bytes.
    std::panic::set_hook(Box::new(|_| {}));
    std::thread::spawn(watch);
    let mut found = 0;
    for target in chosen {
        let time = Duration::from_secs(seconds);
        found += fuzz(target, time, seed, args.get(3).map(Path::new));
    }
    ExitCode::from(u8::from(found > 0))
}

/// Writes the seeds of each target into a folder of its name.
fn write_seeds(folder: &Path) -> ExitCode {
    for target in ALL {
        let folder = folder.join(target.name);
        let seeds = target.seeds.iter().flat_map(|s| seeds::of(s));
        for (number, seed) in seeds.enumerate() {
            let written = fs::create_dir_all(&folder)
                .and_then(|()| fs::write(folder.join(number.to_string()), seed));
            if let Err(error) = written {
                eprintln!("{}: {error}", folder.display());
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// Ends the program where an execution does not end.
fn watch() {
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let now = NOW
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((since, name, bytes)) = &*now
            && since.elapsed() > ENDLESS
        {
            keep(name, "endless", bytes);
            std::process::exit(1);
        }
    }
}

fn keep(name: &str, what: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("found");
    let sum = bytes.iter().fold(0xCBF2_9CE4_8422_2325u64, |h, &b| {
        (h ^ u64::from(b)).wrapping_mul(0x100_0000_01B3)
    });
    let path = folder.join(format!("{name}-{sum:016x}"));
    let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, bytes));
    println!("{name}: {what}; {} {written:?}", path.display());
}

/// Fuzzes one target; gives how many failures were found.
fn fuzz(target: &Target, time: Duration, seed: u64, folder: Option<&Path>) -> usize {
    let mut pool: Vec<Vec<u8>> = target.seeds.iter().flat_map(|s| seeds::of(s)).collect();
    pool.extend(folder.into_iter().flat_map(|f| files(f, target.seeds)));
    if pool.is_empty() {
        println!("{:16} skipped: no seed can be made here", target.name);
        return 0;
    }
    let (begun, mut random) = (Instant::now(), Random::new(seed));
    let (mut executions, mut found) = (0u64, 0);
    let mut outcomes = HashSet::new();
    let sound = pool.len();
    let mut slowest = Duration::ZERO;
    while begun.elapsed() < time && found < 10 {
        let mut bytes = match pool
            .get(executions as usize)
            .filter(|_| executions < sound as u64)
        {
            // The seeds themselves first.
            Some(seed) => seed.clone(),
            None => {
                // Half of the time a sound one, so that what was found first does not rule.
                let most = if random.below(2) == 0 {
                    sound
                } else {
                    pool.len()
                };
                let mut bytes = pool[random.below(most)].clone();
                let other = random.below(pool.len());
                mutate(&mut bytes, &pool[other], &mut random);
                bytes
            }
        };
        if random.below(4) > 0 {
            match target.seeds {
                ["png"] => mend_png(&mut bytes),
                ["nut"] => mend_nut(&mut bytes),
                _ => {}
            }
        }
        executions += 1;
        let (result, took) = execute(target, &bytes);
        slowest = slowest.max(took);
        match result {
            Err(what) => {
                keep(target.name, &what, &bytes);
                found += 1;
            }
            Ok(_) if took > SLOW => {
                keep(target.name, &format!("slow, {took:?}"), &bytes);
                found += 1;
            }
            Ok(outcome) => {
                if outcomes.insert(outcome) && pool.len() < MOST_KEPT {
                    pool.push(bytes);
                }
            }
        }
    }
    println!(
        "{:16} {executions:>10} executions, {:>6.1} s, {:>5} outcomes, slowest {:>4} ms, {found} found",
        target.name,
        begun.elapsed().as_secs_f64(),
        outcomes.len(),
        slowest.as_millis()
    );
    found
}

fn execute(target: &Target, bytes: &[u8]) -> (Result<u64, String>, Duration) {
    let set = |now| {
        *NOW.lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = now;
    };
    let since = Instant::now();
    set(Some((since, target.name, bytes.to_vec())));
    let result = catch_unwind(AssertUnwindSafe(|| (target.run)(bytes)));
    let took = since.elapsed();
    set(None);
    let result = result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).into()));
        format!("panicked: {}", text.unwrap_or_default())
    });
    (result, took)
}

/// Files in a folder, by their suffixes.
fn files(folder: &Path, suffixes: &[&str]) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|e| e.path())
        .filter(|p| {
            let suffix = p.extension().unwrap_or_default().to_string_lossy();
            suffixes.contains(&&*suffix)
        })
        .filter_map(|p| fs::read(p).ok())
        .filter(|bytes| bytes.len() <= 1 << 16)
        .collect()
}
