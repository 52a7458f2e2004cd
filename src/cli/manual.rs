//! What is generated from the definition of the command line: man pages and completions.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{
    args::{Cover, Detect, Verify},
    exit::Exit,
    messages,
};

/// The whole program as one definition, for generators: the program itself reads the first word.
fn whole() -> clap::Command {
    Cover::command()
        .subcommand(Detect::command().name("detect"))
        .subcommand(Verify::command().name("verify"))
}

/// Prints completions.
pub fn completions(shell: Shell) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut whole(), "unface", &mut text);
    print(&text)
}

/// Prints a man page: `unface`, `detect` or `verify`; `None` if there is no such page.
pub fn man(page: &str) -> Option<Exit> {
    let command = match page {
        "unface" => Cover::command(),
        "detect" => Detect::command().name("unface-detect"),
        "verify" => Verify::command().name("unface-verify"),
        _ => return None,
    };
    let mut text = Vec::new();
    let rendered = clap_mangen::Man::new(command).render(&mut text);
    Some(if rendered.is_ok() {
        print(&text)
    } else {
        Exit::Failed
    })
}

fn print(text: &[u8]) -> Exit {
    match messages::out(String::from_utf8_lossy(text).trim_end()) {
        Ok(()) => Exit::Done,
        Err(_) => Exit::Failed,
    }
}
