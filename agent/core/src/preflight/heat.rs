//! Follows the heaters through a file: how hot each is to become, and whether the hot end is warm when filament is fed.

use spoolway_firmware_profiles::limits::TemperatureLimits;

use super::code::Code;
use super::motion::Site;
use super::tally::Detail;
use super::words::{P, R, S, Words};

/// Tools whose temperatures are followed.
const TOOLS: usize = 16;
/// Below this no plastic flows; firmwares refuse to feed at 160 to 180 °C, and PCL prints from 100.
const COLD_C: f64 = 90.0;
/// Below this a heater is taken to be off.
const OFF_C: f64 = 25.0;

/// What is to become hot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heater {
    HotEnd,
    Bed,
    Chamber,
}

/// How hot everything is to be.
#[derive(Debug)]
pub(super) struct Heat {
    limits: TemperatureLimits,
    hot_ends: [f64; TOOLS],
    bed: f64,
    chamber: f64,
    tool: usize,
    /// Somebody else may have heated: a macro, or a command that is not known.
    is_unknown: bool,
    /// `M302`: the firmware was told to feed cold.
    may_be_cold: bool,
    greatest: [f64; 3],
}

impl Heat {
    pub(super) fn new(limits: TemperatureLimits) -> Self {
        Self {
            limits,
            hot_ends: [0.0; TOOLS],
            bed: 0.0,
            chamber: 0.0,
            tool: 0,
            is_unknown: false,
            may_be_cold: false,
            greatest: [0.0; 3],
        }
    }

    /// Sets a target: `S` heats, `R` heats or cools. `T` names a tool.
    pub(super) fn set(&mut self, heater: Heater, words: &Words, tool: Option<u32>, site: &mut Site) {
        let Some(celsius) = words.get(S).or_else(|| words.get(R)) else { return };
        match heater {
            Heater::HotEnd => {
                let tool = tool.map_or(self.tool, |tool| tool as usize);
                if let Some(target) = self.hot_ends.get_mut(tool) {
                    *target = celsius;
                }
                self.hold_against(heater, celsius, self.limits.hotend_max, site);
            }
            Heater::Bed => {
                self.bed = celsius;
                self.hold_against(heater, celsius, self.limits.bed_max, site);
            }
            Heater::Chamber => {
                self.chamber = celsius;
                match self.limits.chamber_max {
                    Some(most) => self.hold_against(heater, celsius, most, site),
                    None if celsius > OFF_C => site.tally.add(Code::ChamberUnknown, "", site.line, || {
                        Detail::text(format!("the chamber is to have {celsius} °C"))
                            .value(format!("{celsius} °C"))
                    }),
                    None => {}
                }
            }
        }
    }

    /// `G10 P0 S200 R150` and `M568 P0 S200 R150` (RepRapFirmware): active and standby temperature of a tool.
    pub(super) fn set_tool(&mut self, words: &Words, site: &mut Site) {
        let Some(active) = words.get(S).filter(|celsius| *celsius > OFF_C || words.has(P)) else { return };
        let tool = words.get(P).map_or(self.tool, |tool| tool.max(0.0) as usize);
        if let Some(target) = self.hot_ends.get_mut(tool) {
            *target = active;
        }
        let hottest = words.get(R).map_or(active, |standby| standby.max(active));
        self.hold_against(Heater::HotEnd, hottest, self.limits.hotend_max, site);
    }

    fn hold_against(&mut self, heater: Heater, celsius: f64, most: f32, site: &mut Site) {
        let (code, name) = match heater {
            Heater::HotEnd => (Code::NozzleTooHot, "a hot end"),
            Heater::Bed => (Code::BedTooHot, "the bed"),
            Heater::Chamber => (Code::ChamberTooHot, "the chamber"),
        };
        let greatest = &mut self.greatest[heater as usize];
        *greatest = greatest.max(celsius);
        if celsius > f64::from(most) {
            site.tally.add(code, "", site.line, || {
                Detail::text(format!("{name} is to have {celsius} °C, and the profile allows {most} °C"))
                    .value(format!("{celsius} °C"))
                    .limit(format!("{most} °C"))
            });
        }
    }

    /// `T1`: another tool.
    pub(super) fn choose(&mut self, tool: u32) {
        self.tool = tool as usize;
    }

    /// What is heated is not known from here on.
    pub(super) fn lose(&mut self) {
        self.is_unknown = true;
    }

    /// `M302`.
    pub(super) fn allow_cold(&mut self) {
        self.may_be_cold = true;
    }

    /// Filament is fed.
    #[inline]
    pub(super) fn feed(&self, site: &mut Site) {
        if !self.is_unknown
            && !self.may_be_cold
            && self.hot_ends.get(self.tool).is_some_and(|hot| *hot < COLD_C)
        {
            self.warn_cold(site);
        }
    }

    #[cold]
    fn warn_cold(&self, site: &mut Site) {
        // Several tools may feed one hot end, which is heated by the name of the first.
        if self.hot_ends.iter().any(|hot| *hot >= COLD_C) {
            return;
        }
        let target = self.hot_ends[self.tool];
        site.tally.add(Code::ColdExtrusion, "", site.line, || {
            Detail::text(format!("filament is fed while the hot end is to have {target} °C"))
                .value(format!("{target} °C"))
        });
    }

    /// The file has ended.
    pub(super) fn finish(&self, site: &mut Site) {
        let hot = |celsius: f64| celsius > OFF_C;
        let heaters = [
            ("hot end", self.hot_ends.iter().copied().any(hot)),
            ("bed", hot(self.bed)),
            ("chamber", hot(self.chamber)),
        ];
        for (name, _) in heaters.into_iter().filter(|(_, on)| *on) {
            let told = || Detail::text(format!("the {name} is on when the file ends"));
            site.tally.add(Code::HeaterLeftOn, name, 0, told);
        }
    }

    /// Greatest targets of hot ends, bed and chamber, in degrees Celsius; `None` for what is not heated.
    pub(super) fn greatest(&self) -> [Option<f64>; 3] {
        self.greatest.map(|celsius| Some(celsius).filter(|celsius| *celsius > 0.0))
    }
}
