//! What a person does after a first run, for what stands and what does not.

use spoolway_protocol::Fault;

use super::facts::{Complaint, Ready, Service};
use super::machine::Summary;
use crate::paths::Instance;

/// The lines of "what to do next", each a sentence with its command; the most pressing first.
#[must_use]
pub fn next_steps(summary: &Summary, instance: Option<&Instance>) -> Vec<String> {
    let mut steps = Vec::new();
    let mut step =
        |text: &str| steps.push(instance.map_or_else(|| text.to_owned(), |instance| instance.typed(text)));
    match (&summary.ready, summary.service) {
        (Ready::NoAgent, Service::Hand) => {
            step("Start the agent, or start it anew: `spoolway-agent run`");
        }
        (Ready::NoAgent, Service::Unit) => step("Start the agent: `sudo systemctl start spoolway-agent`"),
        (Ready::No(complaint), _) => {
            step(&format!("See why there is no printer: `spoolway-agent explain {}`", complaint.code));
            step("Then look again: `sudo spoolway-agent setup`");
        }
        (Ready::Yes, _) => {}
    }
    if let Some(complaint) = &summary.unpaired {
        step(&format!("See why it was not paired: `spoolway-agent explain {}`", complaint.code));
        step("Look at the way to the relay: `sudo spoolway-agent doctor`");
    }
    if summary.owner.is_none() {
        let relay = summary.relay.as_ref().map_or_else(|| "wss://HOST".to_owned(), ToString::to_string);
        let is_strange = |complaint: &Complaint| complaint.code == Fault::TlsWrongCertificate.code();
        let ca = if summary.unpaired.as_ref().is_some_and(is_strange) { " --ca ca.pem" } else { "" };
        step(&format!(
            "Give the agent an owner, if there is a relay: `sudo spoolway-agent pair --relay {relay}{ca}`"
        ));
    }
    if summary.ready == Ready::Yes {
        step("Hold a file against the printer: `spoolway-agent check FILE`");
        step("Print it and stay: `spoolway-agent print FILE --follow`");
    }
    step("See printer, job and link: `spoolway-agent status`");
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(ready: Ready, service: Service) -> Summary {
        Summary {
            printer: None,
            ready,
            written: Vec::new(),
            owner: None,
            relay: None,
            unpaired: None,
            test: None,
            service,
        }
    }

    #[test]
    fn the_most_pressing_comes_first_and_codes_are_named() {
        let missing = Complaint { code: "port.missing".into(), text: "none".into() };
        let first = |summary: &Summary| next_steps(summary, None).remove(0);
        let no = summary(Ready::No(missing.clone()), Service::Unit);
        assert!(first(&no).ends_with("`spoolway-agent explain port.missing`"));
        assert!(first(&summary(Ready::NoAgent, Service::Hand)).ends_with("`spoolway-agent run`"));
        assert!(first(&summary(Ready::NoAgent, Service::Unit)).contains("systemctl start"));
        let left: Instance = "left".parse().unwrap();
        let steps = next_steps(&summary(Ready::NoAgent, Service::Unit), Some(&left));
        assert!(steps[0].ends_with("`sudo systemctl start spoolway-agent@left`"), "{steps:?}");
        assert!(steps[1].contains("`sudo spoolway-agent --instance left pair --relay"), "{steps:?}");
        let mut ready = summary(Ready::Yes, Service::Unit);
        ready.unpaired = Some(missing);
        assert!(first(&ready).contains("explain port.missing"));
        ready.unpaired = None;
        ready.owner = Some("farm".into());
        assert!(first(&ready).contains("check FILE"));
        for service in [Service::Unit, Service::Hand] {
            for ready in [Ready::Yes, Ready::NoAgent] {
                let steps = next_steps(&summary(ready, service), None);
                assert!(steps.iter().all(|step| step.matches('`').count() == 2), "{steps:?}");
                assert!(steps.iter().any(|step| step.ends_with("`spoolway-agent status`")));
            }
        }
    }
}
