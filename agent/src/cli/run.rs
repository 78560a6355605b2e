//! `run`: the agent in the foreground, from its first log line to the signal that ends it.

use spoolway_protocol::Fault;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Exit, Failure, RunAgent};
use crate::clock::Clock;
use crate::config::Config;
use crate::telemetry::{self, StartLogError};

/// How much less the threads that pack, unpack and read job bodies are worth than the others when the processor is scarce:
/// on Linux a thread has a nice value of its own (sched(7)).
const BLOCKING_NICE: i32 = 10;

/// Runs the agent until it ends or is told to.
pub(super) fn run(config: &Config, agent: RunAgent) -> Result<(), Failure> {
    a_panic_ends_the_process();
    let clock = Clock::start()
        .map_err(|error| Failure::new(Exit::Runtime, error.to_string(), None, "Mount /proc."))?;
    let log = telemetry::start(&config.log, &clock).map_err(no_log)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Packing and reading through files can wait; a line of the printer cannot.
        .on_thread_start(yield_to_the_printer)
        .build();
    let runtime = runtime.map_err(|error| no_log(StartLogError::Io(error)))?;
    let ended = runtime.block_on(async {
        let stop = CancellationToken::new();
        let agent = agent(config.clone(), stop.clone());
        tokio::select! {
            ended = agent => ended,
            error = obey_signals(&stop) => Err(error.into()),
            never = log.tell_late() => match never {},
        }
    });
    // A thread that hangs in a dead file system does not keep the agent from ending.
    runtime.shutdown_background();
    Ok(ended?)
}

/// An agent of which a part is gone would look alive and, say, never again reach its relay. The next process takes the print over,
/// as it does behind a `kill -9`.
fn a_panic_ends_the_process() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        std::process::abort();
    }));
}

/// Anybody may make a thread nicer; one that cannot be works all the same.
fn yield_to_the_printer() {
    let _ = rustix::process::nice(BLOCKING_NICE);
}

/// The first signal asks the agent to end; the second ends it.
async fn obey_signals(stop: &CancellationToken) -> std::io::Error {
    let signals =
        signal(SignalKind::terminate()).and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
    let (mut term, mut interrupt) = match signals {
        Ok(signals) => signals,
        Err(error) => return error,
    };
    for is_last in [false, true] {
        let name = tokio::select! {
            _ = term.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "asked to stop");
        if is_last {
            break;
        }
        stop.cancel();
    }
    std::io::Error::new(std::io::ErrorKind::Interrupted, "told to stop twice, so nothing was waited for")
}

fn no_log(error: StartLogError) -> Failure {
    match error {
        StartLogError::Level { .. } => Failure::of(Fault::ConfigBroken, error.to_string()),
        StartLogError::Io(_) => Failure::new(
            Exit::Runtime,
            error.to_string(),
            None,
            "Set log.format to human or json, and try again.",
        ),
        StartLogError::Taken(_) => {
            Failure::new(Exit::Runtime, error.to_string(), None, "Start one agent a process.")
        }
    }
}
