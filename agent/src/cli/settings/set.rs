//! `config set`: single keys of the configuration file, all or none of them; every other byte of it stays.

use std::io::{self, Write};
use std::path::Path;

use rustix::process::geteuid;
use spoolway_protocol::Fault;

use super::super::paint::plain;
use super::super::pair::refuse_for_the_systems;
use super::super::{Exit, Failure, Whereabouts};
use super::check_named;
use crate::config::{Change, KeepError, Loaded, Origin, lock, rewrite};

/// Above the first setting of a file that was not there.
const HEAD: &str = "# Written by `spoolway-agent config set`. What is left out has its default: `spoolway-agent config show` shows all.\n";

/// Sets keys, once what comes out is known to hold together.
pub(in crate::cli) fn set(
    whereabouts: &Whereabouts,
    settings: &[String],
    out: &mut impl Write,
) -> Result<(), Failure> {
    let changes = settings.iter().map(|setting| change(setting)).collect::<Result<Vec<_>, _>>()?;
    // A file that is broken may be what is mended here.
    let was = whereabouts.load(&[]).ok();
    if let Some(was) = &was {
        refuse_for_the_systems(&whereabouts.find_socket()?, was)?;
    }
    let path = whereabouts.config_file()?;
    let _lock = lock(&path)?;
    let before = read(&path).map_err(|source| KeepError::Io { path: path.clone(), source })?;
    let text = rewrite(before.as_deref().unwrap_or(HEAD), &changes)
        .map_err(|error| Failure::of(Fault::ConfigBroken, format!("{}: {error}", path.display())))?;
    let now = whereabouts.load_text(&path, &text)?;
    check_named(&now)?;
    if before.as_deref() == Some(&text) {
        writeln!(out, "{}: it says so already; nothing is written.", path.display())?;
    } else {
        whereabouts.keep_config(&path, before.as_deref(), &text)?;
        writeln!(out, "{}:", path.display())?;
    }
    told(&changes, was.as_ref(), &now, out)?;
    writeln!(
        out,
        "A running agent takes it up when it is started anew; a print goes on meanwhile:\n  {}systemctl restart {}",
        if geteuid().is_root() { "" } else { "sudo " },
        whereabouts.unit()
    )?;
    Ok(())
}

fn change(setting: &str) -> Result<Change, Failure> {
    let Some((key, value)) = setting.split_once('=') else {
        return Err(Failure::new(
            Exit::Usage,
            format!("`{}` is no KEY=VALUE", plain(setting)),
            None,
            "Write it so: `spoolway-agent config set printer.baud=250000`.",
        ));
    };
    Ok(Change::typed(key.trim(), value)?)
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn told(changes: &[Change], was: Option<&Loaded>, now: &Loaded, out: &mut impl Write) -> Result<(), Failure> {
    for Change { key, value } in changes {
        let before = was.map(|was| was.shown(key));
        let now_shown = now.shown(key);
        match now.origin(key) {
            Origin::Variable(name) => {
                writeln!(out, "  {key} = {}, but {name} goes before it", plain(&value.shown()))?;
            }
            _ => match before.filter(|before| *before != now_shown) {
                Some(before) => writeln!(out, "  {key} = {} (it was {})", plain(&now_shown), plain(&before))?,
                None => writeln!(out, "  {key} = {}", plain(&now_shown))?,
            },
        }
    }
    Ok(())
}
