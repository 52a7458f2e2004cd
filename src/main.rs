//! The `unface` program: arguments → settings → run → exit code.

mod cli;

fn main() -> std::process::ExitCode {
    // A panic is one failed picture, told like any other failure; its own text would only confuse.
    std::panic::set_hook(Box::new(|_| {}));
    match std::panic::catch_unwind(cli::main) {
        Ok(code) => code.into(),
        Err(_) => cli::broken().into(),
    }
}
