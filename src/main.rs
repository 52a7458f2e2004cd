//! The `unface` program: arguments → settings → run → exit code.

mod cli;

fn main() -> std::process::ExitCode {
    // Children that decode are this program too, and end here.
    let launcher = match unface::pipeline::enter_cage() {
        Ok(launcher) => launcher,
        Err(code) => return code,
    };
    // A panic is one failed picture, told like any other failure; its own text would only confuse.
    std::panic::set_hook(Box::new(|_| {}));
    match std::panic::catch_unwind(|| cli::main(launcher)) {
        Ok(code) => code.into(),
        Err(_) => cli::broken().into(),
    }
}
