//! `prompts` and `answer`: what the printer asks a person, and what the person says.

use std::io::Write;

use super::paint::plain;
use super::{Exit, Failure, Whereabouts};
use crate::view::PromptView;

/// Shows the question that is open.
pub(super) fn prompts(whereabouts: &Whereabouts, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    let prompt = whereabouts.agent()?.status()?.printer.prompt;
    if json {
        serde_json::to_writer(&mut *out, &prompt).map_err(std::io::Error::from)?;
        writeln!(out)?;
        return Ok(());
    }
    match prompt {
        Some(prompt) => out.write_all(whereabouts.typed(&screen(&prompt)).as_bytes())?,
        None => writeln!(out, "The printer asks nothing.")?,
    }
    Ok(())
}

/// Answers the question that is open.
pub(super) fn answer(whereabouts: &Whereabouts, choice: &str, out: &mut impl Write) -> Result<(), Failure> {
    let mut agent = whereabouts.agent()?;
    let Some(prompt) = agent.status()?.printer.prompt else {
        let text = "the printer asks nothing".to_owned();
        return Err(Failure::of(spoolway_protocol::Fault::PromptClosed, text));
    };
    let Some(number) = place_of(&prompt, choice) else {
        let text = format!("{choice:?} is no answer to {:?}", prompt.text);
        return Err(Failure::new(Exit::Usage, text, None, "`spoolway-agent prompts` shows the answers."));
    };
    // By name, so that it never answers a question that has come meanwhile.
    agent.answer(Some(prompt.prompt_id.clone()), number)?;
    writeln!(out, "Answered {}: {}.", plain(&prompt.text), label(&prompt, number))?;
    Ok(())
}

fn label(prompt: &PromptView, number: u32) -> String {
    prompt.choices.get(number as usize).map_or_else(|| "go on".to_owned(), |label| plain(label))
}

/// The place of an answer that was given by number or in words.
fn place_of(prompt: &PromptView, choice: &str) -> Option<u32> {
    let by_words = prompt.choices.iter().position(|label| label.eq_ignore_ascii_case(choice.trim()));
    let number = choice.trim().parse().ok();
    let found = by_words.and_then(|place| u32::try_from(place).ok()).or(number)?;
    ((found as usize) < prompt.choices.len().max(1)).then_some(found)
}

fn screen(prompt: &PromptView) -> String {
    let mut text = format!("{}\n", plain(&prompt.text));
    for (number, label) in prompt.choices.iter().enumerate() {
        text.push_str(&format!("  {number}  {}\n", plain(label)));
    }
    if prompt.choices.is_empty() {
        text.push_str("  0  go on\n");
    }
    text.push_str("Answer with `spoolway-agent answer NUMBER`.\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(choices: &[&str]) -> PromptView {
        PromptView {
            prompt_id: "q-1".parse().unwrap(),
            text: "Filament \x1b[31mrunout".to_owned(),
            choices: choices.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn an_answer_is_found_by_number_and_by_words() {
        let asked = prompt(&["Purge more", "Continue"]);
        for (choice, place) in
            [("0", Some(0)), (" 1 ", Some(1)), ("continue", Some(1)), ("2", None), ("no", None)]
        {
            assert_eq!(place_of(&asked, choice), place, "{choice}");
        }
        assert_eq!((place_of(&prompt(&[]), "0"), place_of(&prompt(&[]), "1")), (Some(0), None));
        assert_eq!(place_of(&prompt(&["5", "0"]), "0"), Some(1), "words win over numbers");
    }

    #[test]
    fn the_question_is_shown_with_its_answers() {
        let text = screen(&prompt(&["Purge more", "Continue"]));
        assert!(text.contains("  1  Continue\n") && !text.contains('\x1b'), "{text}");
        assert!(screen(&prompt(&[])).contains("  0  go on\n"));
    }
}
