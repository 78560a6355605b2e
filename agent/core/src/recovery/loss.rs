//! What happened to a print that stopped without anybody's will, named.

use serde::{Deserialize, Serialize};

/// A hot end above this, in degrees Celsius, was heated a short while ago.
const WARM_C: f32 = 80.0;

/// What interrupted a print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// The agent's process ended, on a machine that went on, and its successor could not take the print over.
    Agent,
    /// The agent was told to end and gave the print up safely.
    AgentStopped,
    /// The agent's machine lost power or was started anew; the printer did not lose its own.
    HostPower,
    /// The printer started anew while the agent lived.
    PrinterReset,
    /// Both were without power.
    BothPower,
    /// The cable was pulled, or the printer's port went away for another reason.
    Cable,
    /// The firmware stopped for good and said why.
    PrinterHalted,
    /// The printer no longer answered, or could not be understood.
    Conversation,
    /// Somebody pulled the emergency stop.
    EmergencyStop,
    /// The job's own file could not be read on.
    File,
}

impl Loss {
    /// Every name.
    pub const ALL: [Self; 10] = [
        Self::Agent,
        Self::AgentStopped,
        Self::HostPower,
        Self::PrinterReset,
        Self::BothPower,
        Self::Cable,
        Self::PrinterHalted,
        Self::Conversation,
        Self::EmergencyStop,
        Self::File,
    ];

    /// What the end of the agent was, as far as its successor can know before the printer has answered.
    #[must_use]
    pub const fn of_restart(same_boot: bool) -> Self {
        if same_boot { Self::Agent } else { Self::HostPower }
    }

    /// The same, once it is known what the printer did in the meantime.
    #[must_use]
    pub const fn seen_with(self, since: Since) -> Self {
        match (self, since) {
            (Self::HostPower, Since::WithoutPower) => Self::BothPower,
            (loss, _) => loss,
        }
    }

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::AgentStopped => "agent_stopped",
            Self::HostPower => "host_power",
            Self::PrinterReset => "printer_reset",
            Self::BothPower => "both_power",
            Self::Cable => "cable",
            Self::PrinterHalted => "printer_halted",
            Self::Conversation => "conversation",
            Self::EmergencyStop => "emergency_stop",
            Self::File => "file",
        }
    }

    /// A sentence for the operator.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Agent => "the agent ended in the middle of the print and could not take it over again",
            Self::AgentStopped => "the agent was stopped and gave the print up safely",
            Self::HostPower => {
                "the agent's machine lost power or was restarted; the printer did not lose its own"
            }
            Self::PrinterReset => "the printer was reset or lost power; the agent did not",
            Self::BothPower => "the printer and the agent's machine both lost power",
            Self::Cable => "the printer's cable was pulled, or its port went away",
            Self::PrinterHalted => "the printer's firmware stopped for good",
            Self::Conversation => {
                "the printer did not answer any more, or not so that it could be understood"
            }
            Self::EmergencyStop => "the emergency stop was pulled",
            Self::File => "the job's file could not be read on",
        }
    }
}

/// What the printer did since the print stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Since {
    /// It has not answered yet, or nothing that it says decides it.
    #[default]
    Unknown,
    /// It stood there and forgot nothing.
    Stood,
    /// It was reset, perhaps only by its port being opened, and is still warm.
    Reset,
    /// It was off for long enough to be cold.
    WithoutPower,
}

impl Since {
    /// Every answer.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Stood, Self::Reset, Self::WithoutPower];

    /// Whether it certainly still knows where its nozzle is.
    #[must_use]
    pub const fn knows_its_place(self) -> bool {
        matches!(self, Self::Stood)
    }

    /// A sentence for the operator.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Unknown => {
                "what the printer did since is not known: it is taken for one that has forgotten everything"
            }
            Self::Stood => "the printer was not reset: it still knows its position and settings",
            Self::Reset => {
                "the printer was reset, perhaps by its port being opened: it has forgotten its position and settings"
            }
            Self::WithoutPower => "the printer is cold and has forgotten its position and settings",
        }
    }
}

/// What is seen of a printer that answers again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// It printed its banner when it was greeted: it has just started.
    pub banner: bool,
    /// The warmest hot end now, in degrees Celsius.
    pub hot_end_c: Option<f32>,
    /// The warmest hot end when the print was last written down.
    pub hot_end_before_c: Option<f32>,
}

impl Evidence {
    /// What it comes to. In doubt the printer is taken for one that has forgotten everything.
    #[must_use]
    pub fn judge(&self) -> Since {
        let is_warm = |celsius: Option<f32>| celsius.is_some_and(|celsius| celsius >= WARM_C);
        match (self.banner, is_warm(self.hot_end_c)) {
            (true, true) => Since::Reset,
            (false, true) => Since::Stood,
            // A print that was not heated yet says nothing by being cold.
            (_, false) if self.hot_end_c.is_some() && is_warm(self.hot_end_before_c) => Since::WithoutPower,
            (true, false) => Since::Reset,
            (false, false) => Since::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(banner: bool, now: Option<f32>, before: Option<f32>) -> Since {
        Evidence { banner, hot_end_c: now, hot_end_before_c: before }.judge()
    }

    #[test]
    fn each_of_the_three_losses_of_power_has_its_name() {
        let at_boot = Loss::of_restart(false);
        assert_eq!(at_boot.seen_with(since(false, Some(190.0), Some(210.0))), Loss::HostPower);
        assert_eq!(at_boot.seen_with(since(true, Some(190.0), Some(210.0))), Loss::HostPower);
        assert_eq!(at_boot.seen_with(since(true, Some(24.0), Some(210.0))), Loss::BothPower);
        assert_eq!(at_boot.seen_with(since(false, Some(24.0), Some(210.0))), Loss::BothPower);
        assert_eq!(Loss::of_restart(true).seen_with(since(true, Some(24.0), Some(210.0))), Loss::Agent);
        assert_eq!(Loss::PrinterReset.seen_with(Since::WithoutPower), Loss::PrinterReset);
    }

    #[test]
    fn only_a_warm_printer_without_a_banner_has_forgotten_nothing() {
        for banner in [false, true] {
            for now in [None, Some(22.0), Some(180.0)] {
                for before in [None, Some(22.0), Some(210.0)] {
                    let knows = since(banner, now, before).knows_its_place();
                    assert_eq!(knows, !banner && now == Some(180.0), "{banner} {now:?} {before:?}");
                }
            }
        }
    }
}
