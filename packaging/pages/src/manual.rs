//! Manual pages: one for the program and one for each of its commands, such as `spoolway-agent-bed-clear(1)`.

use std::fs;
use std::path::Path;

use anyhow::Context;
use clap::Command;

/// Writes the pages of a program into a folder of their own.
pub(crate) fn write(program: &Command, folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    // A page for each `help` would repeat all the others.
    let program = program.clone().disable_help_subcommand(true);
    clap_mangen::generate_to(program, folder).with_context(|| folder.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of a command and of all below it, as pages are called.
    fn names(command: &Command, before: &str) -> Vec<String> {
        let name = format!("{before}{}", command.get_name());
        let below = command.get_subcommands().filter(|command| !command.is_hide_set());
        let below: Vec<_> = below.flat_map(|command| names(command, &format!("{name}-"))).collect();
        [vec![name], below].concat()
    }

    #[test]
    fn every_command_has_a_page_that_names_it() {
        for program in [spoolway_agent::cli::tree(), spoolway_relay_tools::cli::tree()] {
            let folder = tempfile::tempdir().unwrap();
            write(&program, folder.path()).unwrap();
            let names = names(&program, "");
            assert!(names.len() > 10, "{names:?}");
            for name in &names {
                let page = fs::read_to_string(folder.path().join(format!("{name}.1"))).unwrap();
                assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{name}");
            }
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), names.len());
        }
    }
}
