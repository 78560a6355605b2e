//! `spoolway-pages DIR`: writes the manual pages and shell completions of both programs there, a folder for each.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Command;
use clap_complete::{Shell, generate_to};

fn main() -> anyhow::Result<()> {
    let folder: PathBuf = std::env::args_os().nth(1).context("usage: spoolway-pages DIR")?.into();
    write(spoolway_agent::cli::command(), &folder)?;
    write(spoolway_relay_tools::cli::command(), &folder)
}

fn write(command: Command, folder: &Path) -> anyhow::Result<()> {
    let name = command.get_name().to_owned();
    let folder = folder.join(&name);
    let man = folder.join("man");
    fs::create_dir_all(&man).with_context(|| man.display().to_string())?;
    clap_mangen::generate_to(command.clone().disable_help_subcommand(true), &man)
        .with_context(|| man.display().to_string())?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut command.clone(), &name, &folder).with_context(|| folder.display().to_string())?;
    }
    Ok(())
}
