//! The whole command line as data, for tests that hold documents against it.

use clap::CommandFactory;

use super::args::Arguments;

/// Every command with its flags, values and help.
#[must_use]
pub fn tree() -> clap::Command {
    Arguments::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        tree().debug_assert();
    }
}
