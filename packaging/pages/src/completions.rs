//! What a shell needs to complete a command line of ours.

use std::path::Path;

use anyhow::Context;
use clap::Command;
use clap_complete::{Shell, generate_to};

/// The shells that Debian and Raspberry Pi OS have, and Fedora and macOS besides.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Writes a file for each shell, under the name by which the shell knows it.
pub(crate) fn write(mut program: Command, folder: &Path) -> anyhow::Result<()> {
    let name = program.get_name().to_owned();
    for shell in SHELLS {
        generate_to(shell, &mut program, &name, folder)
            .with_context(|| format!("completions for {shell}"))?;
    }
    Ok(())
}
