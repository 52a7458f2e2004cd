//! The `unface` program: arguments → settings → run → exit code.

mod cli;

fn main() -> std::process::ExitCode {
    no_telemetry();
    no_core_file();
    // Children that decode are this program too, and end here.
    let launcher = match unface::pipeline::enter_cage() {
        Ok(launcher) => launcher,
        Err(code) => return code,
    };
    not_dumpable();
    // A panic is one failed picture, told like any other failure; its own text would only confuse.
    std::panic::set_hook(Box::new(|_| {}));
    let exit = std::panic::catch_unwind(|| cli::main(launcher)).unwrap_or_else(|_| cli::broken());
    cli::end(exit)
}

/// A core file would hold uncovered pixels. Children keep the limit.
fn no_core_file() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let none = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        // Where the system refuses, a core file is what it would have been anyway.
        let _ = setrlimit(Resource::Core, none);
    }
}

/// Neither the system's collector of core files, which the limit does not bind, nor another process
/// of the same user may read this one's memory. Children set it for themselves: what locks them in
/// writes to files of their own that are closed to processes like this.
fn not_dumpable() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// ONNX Runtime from 1.29 on writes into the user's cache folder when and where each run was, and sends it to its makers; it
/// asks this variable alone before it begins. `scripts/setup.py` fetches an older one, but a system may have its own.
#[allow(unsafe_code)]
fn no_telemetry() {
    // SAFETY: first in `main`, where no other thread is that might read the environment.
    unsafe { std::env::set_var(unface::detect::session::NO_TELEMETRY, "1") };
}
