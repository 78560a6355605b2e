//! The keys of a profile file as a table, so that mistakes can be named before serde stops at the first.
//!
//! A test holds this table and the serde types together: same keys, same required ones, same choices.

/// One key of a table.
pub(crate) struct Key {
    /// Its name inside the table.
    pub(crate) name: &'static str,
    /// Whether a profile without it is incomplete.
    pub(crate) required: bool,
    /// What it holds.
    pub(crate) kind: Kind,
}

/// What a key holds.
pub(crate) enum Kind {
    Text,
    Texts,
    Count,
    Counts,
    Integer,
    Number,
    Switch,
    Choice(&'static [&'static str]),
    Table(&'static [Key]),
}

impl Kind {
    /// What is allowed, for a message.
    pub(crate) fn allowed(&self) -> String {
        match self {
            Self::Text => "a text in quotes".to_owned(),
            Self::Texts => "a list of texts, each in quotes, such as [\"ok\"]".to_owned(),
            Self::Count => format!("a whole number from 0 to {}, without quotes", u32::MAX),
            Self::Counts => format!("a list of whole numbers from 0 to {}, such as [115200]", u32::MAX),
            Self::Integer => format!("a whole number from {} to {}", i32::MIN, i32::MAX),
            Self::Number => "a number".to_owned(),
            Self::Switch => "true or false, without quotes".to_owned(),
            Self::Choice(names) => format!("one of \"{}\"", names.join("\", \"")),
            Self::Table(_) => "a section with keys of its own".to_owned(),
        }
    }
}

const fn must(name: &'static str, kind: Kind) -> Key {
    Key { name, required: true, kind }
}

const fn may(name: &'static str, kind: Kind) -> Key {
    Key { name, required: false, kind }
}

/// The whole file.
pub(crate) static PROFILE: &[Key] = &[
    must("schema", Kind::Count),
    must("id", Kind::Text),
    must("name", Kind::Text),
    must("status", Kind::Choice(&["verified", "unverified"])),
    may("sources", Kind::Texts),
    may("identify", Kind::Table(IDENTIFY)),
    must("serial", Kind::Table(SERIAL)),
    must("framing", Kind::Table(FRAMING)),
    must("flow", Kind::Table(FLOW)),
    must("replies", Kind::Table(REPLIES)),
    must("recovery", Kind::Table(RECOVERY)),
    must("timeouts", Kind::Table(TIMEOUTS)),
    may("emergency", Kind::Table(EMERGENCY)),
    may("scripts", Kind::Table(SCRIPTS)),
    may("hand", Kind::Table(HAND)),
    must("temperature", Kind::Table(TEMPERATURE)),
    may("machine", Kind::Table(MACHINE)),
];

static IDENTIFY: &[Key] = &[
    may("banners", Kind::Texts),
    may("firmware_names", Kind::Texts),
    may("machine_types", Kind::Texts),
    may("capabilities", Kind::Texts),
    may("usb", Kind::Texts),
    may("priority", Kind::Integer),
];

static SERIAL: &[Key] = &[
    must("bauds", Kind::Counts),
    must("resets_on_open", Kind::Switch),
    must("boot_wait_ms", Kind::Count),
    may("parity_workaround", Kind::Switch),
];

static FRAMING: &[Key] = &[
    may("prefix", Kind::Text),
    must("numbered", Kind::Switch),
    must("checksum", Kind::Choice(&["none", "xor8"])),
    must("max_line_bytes", Kind::Count),
    must("max_line_number", Kind::Count),
];

static FLOW: &[Key] = &[
    must(
        "window",
        Kind::Choice(&[
            "one-line",
            "bytes",
            "bytes-and-queue",
            "advanced-ok",
            "character-count",
            "usb-back-pressure",
        ]),
    ),
    must("ack", Kind::Choice(&["executed", "received", "parsed"])),
    must("rx_bytes", Kind::Count),
    must("max_lines", Kind::Count),
    may("queue_lines", Kind::Count),
    may("planner_moves", Kind::Count),
    may("xon_xoff", Kind::Switch),
];

static REPLIES: &[Key] = &[
    must("ok", Kind::Texts),
    may("resend", Kind::Texts),
    may("ok_after_resend", Kind::Switch),
    may("skip", Kind::Texts),
    may("busy", Kind::Texts),
    may("wait", Kind::Texts),
    may("start", Kind::Texts),
    may("fatal", Kind::Texts),
    may("error", Kind::Texts),
    may("error_acknowledges", Kind::Switch),
    may("harmless_errors", Kind::Texts),
    may("action", Kind::Texts),
    may("overrun", Kind::Texts),
];

static RECOVERY: &[Key] = &[
    must("sequence", Kind::Choice(&["verified", "unverified"])),
    must("duplicate", Kind::Choice(&["refused", "skipped", "executed"])),
    must("history_lines", Kind::Count),
    must("max_refusals", Kind::Count),
    must("max_silent_probes", Kind::Count),
    may("print", Kind::Table(PRINT_RECOVERY)),
];

static PRINT_RECOVERY: &[Key] = &[
    may("home", Kind::Texts),
    may("home_z", Kind::Texts),
    may("set_z", Kind::Text),
    may("lift_mm", Kind::Number),
    may("prime_mm", Kind::Number),
    may("level", Kind::Texts),
    may("tools", Kind::Switch),
    may("by_hand", Kind::Text),
];

static TIMEOUTS: &[Key] = &[
    must("silence_ms", Kind::Count),
    must("silence_with_busy_ms", Kind::Count),
    must("blocking_ms", Kind::Count),
    must("resend_ms", Kind::Count),
    must("settle_ms", Kind::Count),
    may("blocking", Kind::Texts),
];

static EMERGENCY: &[Key] = &[
    may("capability", Kind::Text),
    may("stop", Kind::Text),
    may("break_wait", Kind::Text),
    may("quick_stop", Kind::Text),
    may("ask", Kind::Text),
    may("standing", Kind::Texts),
    may("hold", Kind::Text),
    may("release", Kind::Text),
    may("dtr_reset", Kind::Switch),
    may("prompt_reply", Kind::Text),
];

static SCRIPTS: &[Key] = &[
    may("connect", Kind::Texts),
    may("pause", Kind::Texts),
    may("resume", Kind::Texts),
    may("park", Kind::Texts),
    may("unpark", Kind::Texts),
    must("cancel", Kind::Texts),
];

static HAND: &[Key] = &[
    may("home", Kind::Texts),
    may("jog", Kind::Texts),
    may("position", Kind::Text),
    may("hotend", Kind::Text),
    may("bed", Kind::Text),
    may("chamber", Kind::Text),
    may("heaters_off", Kind::Texts),
    may("identify", Kind::Texts),
    may("skip_object", Kind::Text),
    may("light", Kind::Table(LIGHT)),
];

static LIGHT: &[Key] = &[may("capability", Kind::Text), must("on", Kind::Texts), must("off", Kind::Texts)];

static TEMPERATURE: &[Key] = &[
    must("query", Kind::Text),
    must("query_interval_ms", Kind::Count),
    may("auto_report", Kind::Table(AUTO_REPORT)),
    may("host_waits", Kind::Choice(&["never", "when-deaf", "always"])),
    must("limits", Kind::Table(LIMITS)),
];

static AUTO_REPORT: &[Key] = &[must("capability", Kind::Text), must("command", Kind::Text)];

static LIMITS: &[Key] =
    &[must("hotend_max", Kind::Number), must("bed_max", Kind::Number), may("chamber_max", Kind::Number)];

static MACHINE: &[Key] = &[
    may("flavours", Kind::Texts),
    may("commands", Kind::Texts),
    may("macros", Kind::Switch),
    may("model_checks", Kind::Switch),
    may("virtual_tools", Kind::Switch),
    may("volume_mm", Kind::Counts),
    may("tools", Kind::Count),
    may("nozzle_mm", Kind::Number),
];

/// Calls `visit` with the path of every key below `keys`, sections before what they hold.
pub(crate) fn walk(keys: &'static [Key], above: &str, visit: &mut dyn FnMut(&str, &'static Key)) {
    for key in keys {
        let path = join(above, key.name);
        visit(&path, key);
        if let Kind::Table(inner) = key.kind {
            walk(inner, &path, visit);
        }
    }
}

/// `name` inside the section `above`.
pub(crate) fn join(above: &str, name: &str) -> String {
    if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") }
}

#[cfg(test)]
mod tests;
