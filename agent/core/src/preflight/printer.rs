//! What is known of the printer that a file is held against; what is not known is not judged.

use spoolway_firmware_profiles::flow::Window;
use spoolway_firmware_profiles::limits::TemperatureLimits;
use spoolway_firmware_profiles::{FirmwareReport, Profile};

use crate::gcode::Framing;

/// Bits on the wire for each byte: a start bit, eight bits and a stop bit.
const BITS_PER_BYTE: f64 = 10.0;

/// Where a part may be, in millimetres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Volume {
    /// Least X, Y and Z.
    pub least: [f64; 3],
    /// Greatest X, Y and Z.
    pub most: [f64; 3],
}

impl Volume {
    /// A volume of these sizes above a bed whose origin is at its front left corner, or else in its centre.
    #[must_use]
    pub fn new(size_mm: [f64; 3], is_centred: bool) -> Self {
        let [x, y, z] = size_mm;
        if is_centred {
            Self { least: [-x / 2.0, -y / 2.0, 0.0], most: [x / 2.0, y / 2.0, z] }
        } else {
            Self { least: [0.0; 3], most: size_mm }
        }
    }
}

/// How many tools a printer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tools {
    /// A person said so.
    Configured(u32),
    /// The firmware said so (`EXTRUDER_COUNT`); mixing hot ends and filament changers have more than they say.
    Reported(u32),
}

/// What a file is held against.
#[derive(Debug, Clone)]
pub struct Printer {
    /// How its lines are framed.
    pub framing: Framing,
    /// Greatest temperatures.
    pub limits: TemperatureLimits,
    /// Where a part may be.
    pub volume: Option<Volume>,
    /// How many tools.
    pub tools: Option<Tools>,
    /// Diameter of the nozzle, in millimetres.
    pub nozzle_mm: Option<f64>,
    /// Model, as a person said it.
    pub model: Option<String>,
    /// Filament that is loaded, as a person said it (`PLA`).
    pub filament: Option<String>,
    /// Model, as the firmware says it (`MACHINE_TYPE`).
    pub machine: Option<String>,
    /// Version of the firmware, as it says it.
    pub firmware_version: Option<String>,
    /// Bytes a second that the link carries; `None` where USB itself is the link.
    pub link_bytes_per_s: Option<f64>,
    /// Slicers' names of the flavours that this firmware takes; empty: any.
    pub flavours: Vec<String>,
    /// Commands of its own.
    pub commands: Vec<String>,
    /// Whether words that are no G, M or T are commands of its own.
    pub has_macros: bool,
    /// Whether `M862` checks are meant for this firmware.
    pub has_model_checks: bool,
    /// Whether it may have more tools than it reports.
    pub has_virtual_tools: bool,
}

impl Printer {
    /// What a profile says, for a link of this rate in bits per second.
    #[must_use]
    pub fn of_profile(profile: &Profile, baud: Option<u32>) -> Self {
        let machine = &profile.machine;
        let size = <[u32; 3]>::try_from(machine.volume_mm.as_slice()).ok();
        let is_serial = profile.flow.window != Window::UsbBackPressure;
        Self {
            framing: Framing::from(&profile.framing),
            limits: profile.temperature.limits,
            volume: size.map(|size| Volume::new(size.map(f64::from), false)),
            tools: machine.tools.map(Tools::Configured),
            nozzle_mm: machine.nozzle_mm.map(f64::from),
            model: None,
            filament: None,
            machine: None,
            firmware_version: None,
            link_bytes_per_s: baud.filter(|_| is_serial).map(|baud| f64::from(baud) / BITS_PER_BYTE),
            flavours: machine.flavours.clone(),
            commands: machine.commands.clone(),
            has_macros: machine.macros,
            has_model_checks: machine.model_checks,
            has_virtual_tools: machine.virtual_tools,
        }
    }

    /// Adds what the firmware says of itself.
    #[must_use]
    pub fn reporting(mut self, report: &FirmwareReport) -> Self {
        self.machine.clone_from(&report.machine_type);
        self.firmware_version.clone_from(&report.version);
        self.tools = self.tools.or_else(|| report.extruders.map(|count| Tools::Reported(count.into())));
        self
    }
}
