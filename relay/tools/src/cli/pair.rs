//! `pair`: an agent that waits with a code is let in by hand, on the relay's own machine.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use sha2::{Digest, Sha256};
use spoolway_protocol::BackendId;
use spoolway_protocol::pairing::{PairCode, PairState, fingerprint_bytes, words_of};

use super::registry::{now_ms, open};
use super::{Failed, USAGE};
use spoolway_relay::auth;
use spoolway_relay_registry::pairing::{Act, By, Claim, Pairing};
use spoolway_relay_registry::{Pairings, Registry, SqliteRegistry};

/// Time between two looks at what the other end has said.
const LOOK_EVERY: Duration = Duration::from_millis(250);

#[derive(Debug, Subcommand)]
pub(super) enum PairCommand {
    /// Show the agents that wait with a code
    #[command(after_help = "Example:\n  spoolway-relay pair list")]
    List,
    /// Let the agent with this code in, after comparing four words
    #[command(
        after_help = "Example:\n  spoolway-relay pair approve K7QX-M4TD\n  spoolway-relay pair approve K7QX-M4TD --backend farm --name 'Attic, left'"
    )]
    Approve(Approval),
}

#[derive(Debug, Args)]
pub(super) struct Approval {
    /// The code that the agent shows, such as K7QX-M4TD
    code: PairCode,
    /// The backend that shall own the agent [default: the only one there is]
    #[arg(long)]
    backend: Option<BackendId>,
    /// Public key that the backend signs permits with (Ed25519, base64); may be given twice
    #[arg(long, value_name = "BASE64")]
    key: Vec<String>,
    /// A name for people [default: the agent's host name]
    #[arg(long)]
    name: Option<String>,
    /// Do not ask whether the words are the same
    #[arg(long)]
    yes: bool,
}

impl PairCommand {
    pub(super) fn carry_out(self, file: &Path) -> Result<(), Failed> {
        let mut registry = open(file)?;
        match self {
            Self::List => {
                for (_, pairing) in registry.pairings()? {
                    let backend = pairing.claim().map(|claim| claim.backend.to_string()).unwrap_or_default();
                    let (state, info) = (pairing.state(now_ms()), &pairing.info);
                    println!("{}\t{state}\t{backend}\t{}\t{}", pairing.agent, info.host, info.printer);
                }
                Ok(())
            }
            Self::Approve(approval) => approve(&mut registry, approval),
        }
    }
}

fn approve(registry: &mut SqliteRegistry, approval: Approval) -> Result<(), Failed> {
    let Approval { code, backend, key, name, yes } = approval;
    let keys = keys_of(&key).map_err(Failed::with(USAGE))?;
    let claim = claim_of(registry, backend, keys)?;
    let by = By::Backend(claim.backend.clone());
    let unknown = || anyhow!("there is no agent with the code {code}: it is taken, over or was never given");
    let id = registry.pairing_of(code)?.ok_or_else(unknown)?;
    let taken = registry.act_on_pairing(&id, now_ms(), &by, Act::Claim(claim)).map_err(|_| unknown())?;
    let info = &taken.info;
    let agent = taken.agent.to_string();
    for (name, said) in
        [("Agent", &agent), ("Host", &info.host), ("Machine", &info.model), ("Printer", &info.printer)]
    {
        // An agent need not say all of it.
        if !said.is_empty() {
            println!("{name:<10}{said}");
        }
    }
    let shown = wait(registry, &id, &by, PairState::Claimed).context("the agent does not answer")?;
    println!("Words     {}", words(&shown)?.join(" "));
    if !yes && !ask()? {
        registry.act_on_pairing(&id, now_ms(), &by, Act::No)?;
        return Err(anyhow!("not paired: the words differ, so somebody else may be in between").into());
    }
    let name = name.unwrap_or_else(|| shown.info.host.clone());
    let said = registry.act_on_pairing(&id, now_ms(), &by, Act::Yes(name))?;
    if said.state(now_ms()) != PairState::Paired {
        println!("Waiting for the yes at the agent ...");
        wait(registry, &id, &by, PairState::Shown)?;
    }
    println!("Paired: agent {} may connect.", taken.agent);
    Ok(())
}

/// The pairing once it is no longer in a state; what it was given up for otherwise.
fn wait(registry: &mut SqliteRegistry, id: &str, by: &By, state: PairState) -> anyhow::Result<Pairing> {
    loop {
        let pairing = registry.act_on_pairing(id, now_ms(), by, Act::Look)?;
        match pairing.state(now_ms()) {
            PairState::Denied => bail!("the agent's end has said no"),
            PairState::Expired => bail!("the code's time is over; start anew at the agent"),
            now if now == state => std::thread::sleep(LOOK_EVERY),
            _ => return Ok(pairing),
        }
    }
}

fn claim_of(
    registry: &impl Registry,
    wanted: Option<BackendId>,
    keys: Vec<[u8; 32]>,
) -> anyhow::Result<Claim> {
    let backends = registry.backends()?;
    let mut good = backends.into_iter().filter(|backend| backend.revoked_ms.is_none());
    let backend = match wanted {
        Some(id) => good
            .find(|backend| backend.id == id)
            .with_context(|| format!("backend {id} is not registered"))?,
        None => match (good.next(), good.next()) {
            (Some(only), None) => only,
            (None, _) => bail!("there is no backend yet: `spoolway-relay backend add NAME`"),
            (Some(_), Some(_)) => bail!("there are several backends: say which one with --backend"),
        },
    };
    let nonce = auth::random().map_err(|_| anyhow!("the system has no randomness"))?;
    Ok(Claim { backend: backend.id, organisation: backend.organisation, nonce, keys })
}

/// What both ends compare.
fn words(pairing: &Pairing) -> anyhow::Result<[&'static str; 4]> {
    let (claim, nonce) = pairing.claim().zip(pairing.nonce()).context("the agent has shown nothing yet")?;
    let agent = (&pairing.public_key, nonce);
    let bytes = fingerprint_bytes(agent, (&claim.backend, &claim.nonce), &claim.keys);
    Ok(words_of(&Sha256::digest(bytes).into()))
}

pub(super) fn keys_of(texts: &[String]) -> anyhow::Result<Vec<[u8; 32]>> {
    let key = |text: &String| {
        let bytes = STANDARD.decode(text.trim()).ok();
        let key = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        key.with_context(|| format!("--key {text}: an Ed25519 public key is 32 bytes in base64"))
    };
    texts.iter().map(key).collect()
}

fn ask() -> anyhow::Result<bool> {
    print!("Does the agent show the same words? [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
