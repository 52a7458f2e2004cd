//! The `unface` program: arguments → settings → run → exit code.

mod cli;

fn main() -> std::process::ExitCode {
    no_telemetry();
    // Children that decode are this program too, and end here.
    let launcher = match unface::pipeline::enter_cage() {
        Ok(launcher) => launcher,
        Err(code) => return code,
    };
    // A panic is one failed picture, told like any other failure; its own text would only confuse.
    std::panic::set_hook(Box::new(|_| {}));
    let exit = std::panic::catch_unwind(|| cli::main(launcher)).unwrap_or_else(|_| cli::broken());
    cli::end(exit)
}

/// ONNX Runtime from 1.29 on writes into the user's cache folder when and where each run was, and sends it to its makers; it
/// asks this variable alone before it begins. `scripts/setup.py` fetches an older one, but a system may have its own.
#[allow(unsafe_code)]
fn no_telemetry() {
    // SAFETY: first in `main`, where no other thread is that might read the environment.
    unsafe { std::env::set_var(unface::detect::session::NO_TELEMETRY, "1") };
}
