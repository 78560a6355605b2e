//! What a firmware asks the person in front of it, and how it is answered from afar.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::PromptId;
use crate::raw::Extra;

/// `prompt.opened`: the firmware asks a question and mostly waits for the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PromptOpened {
    /// Names this question for ever, so that an answer that comes late is never taken for one to the next question.
    pub prompt_id: PromptId,
    /// What is asked.
    pub text: String,
    /// The answers that the firmware offers; an answer is given by its place, from 0. Empty when there is nothing to choose.
    #[serde(default)]
    pub choices: Vec<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `prompt.closed`: the question is no longer open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PromptClosed {
    /// The question.
    pub prompt_id: PromptId,
    /// Why.
    pub cause: PromptEnd,
    /// What was chosen through the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choice: Option<u32>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

open_words!(
    /// Why a question is no longer open.
    PromptEnd {
        /// It was answered through the agent.
        Answered = "answered",
        /// The firmware took it back, mostly because it was answered at the printer.
        Withdrawn = "withdrawn",
        /// The firmware asked another one instead.
        Replaced = "replaced",
        /// The printer went away or began anew.
        Lost = "lost",
    }
);

/// `prompt.answer`: the answer to a question that is open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PromptAnswerArgs {
    /// The question; one that is no longer open is refused.
    pub prompt_id: PromptId,
    /// The place of the answer in `choices`, from 0; 0 as well where there is nothing to choose.
    pub choice: u32,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}
