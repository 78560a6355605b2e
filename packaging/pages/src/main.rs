//! `spoolway-pages DIR`: writes the manual pages and shell completions of both programs there, a folder for each.

mod completions;
mod manual;

use std::fs;
use std::path::PathBuf;

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let folder: PathBuf = std::env::args_os().nth(1).context("usage: spoolway-pages DIR")?.into();
    for program in [spoolway_agent::cli::tree(), spoolway_relay_tools::cli::tree()] {
        let folder = folder.join(program.get_name());
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        manual::write(&program, &folder.join("man"))?;
        completions::write(program, &folder)?;
    }
    Ok(())
}
