//! `recover`: shows the plan to go on with an interrupted print, runs the one that was shown, or gives the part up.

use std::io::Write;

use spoolway_agent_core::recovery::{Height, ResumeFrom};
use spoolway_protocol::JobId;

use super::paint::{Paint, fit, plain, wrap};
use super::{Failure, Whereabouts};
use crate::local::words::Request;
use crate::view::recovery::{PlanView, RecoverHow};

/// Columns that every terminal has.
const COLUMNS: usize = 80;
/// Width of the names in front.
const NAME: usize = 16;

/// Shows a plan; nothing moves.
pub(super) fn show(
    whereabouts: &Whereabouts,
    job: JobId,
    how: RecoverHow,
    json: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let plan = whereabouts.agent()?.plan_recovery(job, how)?;
    if json {
        serde_json::to_writer(&mut *out, &plan).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        let page = text(&plan, Paint::of(&std::io::stdout()));
        out.write_all(whereabouts.typed(&page).as_bytes())?;
    }
    Ok(())
}

/// Runs the plan that was shown.
pub(super) fn run(
    whereabouts: &Whereabouts,
    job_id: JobId,
    how: RecoverHow,
    plan_id: String,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let job = whereabouts.agent()?.job(&Request::Recover { job_id, how, plan_id })?;
    writeln!(out, "Going on with {} ({}): now {}.", plain(&job.name), job.job_id, job.state)?;
    Ok(())
}

/// The plan on a page: what happened, what will be done and why, what to look at first, and how to say yes.
fn text(plan: &PlanView, paint: Paint) -> String {
    let mut page = Page { paint, text: String::new() };
    page.line(&paint.bold(&format!("Plan {} for {}", plan.plan_id, fit(&plan.name, 50))));
    page.row("What happened", plan.loss.loss.sentence());
    page.row("Since then", plan.loss.since.sentence());
    let layer = if plan.layer > 0 { format!(", layer {}", plan.layer) } else { String::new() };
    page.row("Goes on", &format!("behind line {} of the file{layer}", plan.behind_line));
    page.row("Acknowledged", &format!("up to line {}, as far as was written down", plan.acknowledged_line));
    for (number, step) in plan.steps.iter().enumerate() {
        page.line("");
        let head = format!("{:>2}. {}: {}", number + 1, plain(&step.title), plain(&step.why));
        for (at, line) in wrap(&head, COLUMNS - 4).iter().enumerate() {
            let indent = if at == 0 { if number < 9 { " " } else { "" } } else { "    " };
            page.line(&format!("{indent}{line}"));
        }
        for line in &step.lines {
            page.line(&format!("      {}", paint.dim(&plain(line))));
        }
    }
    page.line("");
    page.line(&format!("{:>2}. Go on with the file behind line {}.", plan.steps.len() + 1, plan.behind_line));
    page.line("");
    page.line(&paint.yellow("Before you say yes:"));
    for risk in &plan.risks {
        for (at, line) in wrap(&plain(risk), COLUMNS - 4).iter().enumerate() {
            page.line(&format!("  {} {line}", if at == 0 { "*" } else { " " }));
        }
    }
    page.line("");
    page.line(&format!(
        "Run it:  spoolway-agent recover {}{} --yes {}",
        plan.job_id,
        flags(plan.how),
        plan.plan_id
    ));
    page.line(&format!("Give up: spoolway-agent recover {} --abandon", plan.job_id));
    page.text
}

/// The flags that ask for the same.
fn flags(how: RecoverHow) -> String {
    let from = match how.from {
        ResumeFrom::Auto => String::new(),
        ResumeFrom::Line(line) => format!(" --from 'line {line}'"),
        ResumeFrom::Layer(layer) => format!(" --from 'layer {layer}'"),
    };
    let height = match how.height {
        None => "",
        Some(Height::Held) => " --z held",
        Some(Height::Touching) => " --z touching",
        Some(Height::Homed) => " --z homed",
    };
    from + height
}

struct Page {
    paint: Paint,
    text: String,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn row(&mut self, name: &str, words: &str) {
        for (at, line) in wrap(words, COLUMNS - NAME - 2).iter().enumerate() {
            let name = format!("{:<NAME$}", if at == 0 { name } else { "" });
            let name = self.paint.dim(&name);
            self.line(&format!("  {name}{line}"));
        }
    }
}

/// `auto`, `line N` or `layer N`.
pub(super) fn parse_from(text: &str) -> Result<ResumeFrom, String> {
    let bad = || "must be auto, 'line N' or 'layer N', counted from 1".to_owned();
    let (word, number) = text.trim().split_once([' ', ':', '=']).unwrap_or((text.trim(), ""));
    let number = number.trim();
    match word {
        "auto" if number.is_empty() => Ok(ResumeFrom::Auto),
        "line" => number.parse().ok().filter(|line| *line > 0).map(ResumeFrom::Line).ok_or_else(bad),
        "layer" => number.parse().ok().filter(|layer| *layer > 0).map(ResumeFrom::Layer).ok_or_else(bad),
        _ => Err(bad()),
    }
}

pub(super) fn parse_height(text: &str) -> Result<Height, String> {
    match text {
        "held" => Ok(Height::Held),
        "touching" => Ok(Height::Touching),
        "homed" => Ok(Height::Homed),
        _ => Err("must be held, touching or homed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use spoolway_agent_core::gcode::Position;
    use spoolway_agent_core::recovery::{
        Followed, Loss, Request, Seeker, Since, plan as plan_recovery, unsure_moves,
    };
    use spoolway_firmware_profiles::Registry;

    use super::*;
    use crate::view::recovery::{LossView, StepView};

    fn plan() -> PlanView {
        let step = |title: &str, lines: &[&str]| StepView {
            title: title.to_owned(),
            why: "away from the part, so that what drips does not drip on it, and not a moment sooner"
                .to_owned(),
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
        };
        PlanView {
            plan_id: "3f9a1c07b2e4".to_owned(),
            job_id: JobId::new("job-7731").unwrap(),
            name: "benchy\x1b[2J.gcode".to_owned(),
            loss: LossView { loss: Loss::PrinterReset, since: Since::Reset },
            how: RecoverHow { from: ResumeFrom::Layer(7), height: Some(Height::Held) },
            behind_line: 20_116,
            layer: 6,
            acknowledged_line: 20_140,
            steps: vec![
                step("Heat the nozzle", &["M109 S210"]),
                step("Home to the side", &["G28 X Y", "G90"]),
            ],
            risks: vec![
                "A seam will show: the last 19 commands may be in the part already and are sent again."
                    .to_owned(),
            ],
        }
    }

    #[test]
    fn a_plan_fits_a_terminal_and_ends_with_how_to_say_yes() {
        let text = text(&plan(), Paint::none());
        // A command is copied as a whole.
        let fits = |line: &str| line.chars().count() <= 80 || line.starts_with("Run it:");
        assert!(text.lines().all(|line| fits(line) && !line.contains('\x1b')), "{text}");
        assert!(text.starts_with("Plan 3f9a1c07b2e4 for benchy?[2J.gcode\n"), "{text}");
        assert!(text.contains("\n  Goes on         behind line 20116 of the file, layer 6\n"), "{text}");
        assert!(text.contains("\n      M109 S210\n") && text.contains("\n      G28 X Y\n"), "{text}");
        assert!(text.contains("\n 3. Go on with the file behind line 20116.\n"), "{text}");
        let yes = "spoolway-agent recover job-7731 --from 'layer 7' --z held --yes 3f9a1c07b2e4\n";
        assert!(text.contains(yes) && text.ends_with("recover job-7731 --abandon\n"), "{text}");
    }

    /// The plan of the operator's page: a printer that was reset, and a person who has lowered the nozzle.
    fn plan_of_the_page() -> PlanView {
        let head = ["M140 S60", "M104 S210", "G28", "G90", "M82", "G92 E0", "M106 S128", "G1 Z0.2 F600"];
        let moves = (1..200).map(|n| format!("G1 X{} Y{} E{n} F1800", 20 + n % 2 * 60, 20 + n / 4));
        let file: Vec<String> = head.map(str::to_owned).into_iter().chain(moves).collect();
        let at = |n: usize| Position { line: n as u64 + 1, byte: 30 * n as u64, layer: 1 };
        let registry = Registry::built_in();
        let profile = &registry.get("marlin").unwrap().profile;
        let mut seeker = Seeker::new(ResumeFrom::Auto, at(180), 0, unsure_moves(profile, Since::Reset));
        let followed = file.iter().enumerate().take_while(|(n, _)| *n <= 180);
        followed.for_each(|(n, command)| seeker.follow(command.as_bytes(), at(n)));
        let point = seeker.finish().unwrap();
        let mut followed = Followed::default();
        let passed = file.iter().enumerate().take_while(|(n, _)| at(*n).line <= point.behind.line);
        passed.for_each(|(n, command)| followed.follow(command.as_bytes(), n as u64 + 1));
        let height = Some(Height::Touching);
        let made =
            plan_recovery(&Request { profile, since: Since::Reset, height, hot_ends: 1 }, &point, &followed);
        let made = made.unwrap();
        let steps = made.steps.iter().map(|step| StepView {
            title: step.title.to_owned(),
            why: step.why.clone(),
            lines: step.lines.clone(),
        });
        PlanView {
            name: "bracket.gcode".to_owned(),
            how: RecoverHow { from: ResumeFrom::Auto, height },
            behind_line: point.behind.line,
            layer: point.behind.layer,
            acknowledged_line: point.acknowledged.line,
            steps: steps.collect(),
            risks: made.risks,
            ..plan()
        }
    }

    #[test]
    fn the_page_on_recovery_shows_what_the_program_says() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/recovery.md");
        let page = std::fs::read_to_string(&path).unwrap();
        let (begin, end) = ("<!-- plan: begin -->\n", "<!-- plan: end -->");
        let (head, rest) = page.split_once(begin).unwrap();
        let (said, tail) = rest.split_once(end).unwrap();
        let expected = format!("```text\n{}```\n", text(&plan_of_the_page(), Paint::none()));
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, [head, begin, &expected, end, tail].concat()).unwrap();
        } else {
            assert_eq!(
                said, expected,
                "write it anew with `UPDATE_DOCS=1 cargo test -p spoolway-agent --lib recover`"
            );
        }
    }

    #[test]
    fn places_are_words() {
        assert_eq!(parse_from("auto"), Ok(ResumeFrom::Auto));
        assert_eq!(parse_from("line 12"), Ok(ResumeFrom::Line(12)));
        assert_eq!(parse_from("layer:3"), Ok(ResumeFrom::Layer(3)));
        for bad in ["", "line", "line 0", "layer -1", "12", "auto 3"] {
            assert!(parse_from(bad).is_err(), "{bad}");
        }
    }
}
