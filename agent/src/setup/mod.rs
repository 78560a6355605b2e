//! The first run: from a machine with a printer on it to an agent that prints, in one conversation.
//!
//! [`Setup`] is the machine: it is told what was found, answered and done, and says what is asked or done next. It knows no terminal, port,
//! file or clock. A run that was broken off is started again like any other: what stands already is seen and not done twice, so nothing of
//! a run is stored.

mod answers;
mod facts;
mod machine;
mod next;
mod plan;
mod question;
mod test_print;

pub use answers::{
    ANSWER_FILES, Answers, AnswersError, PrinterAnswer, RelayAnswer, Words, read_printer, read_relay,
    read_test, read_words,
};
pub use facts::{
    Agent, Answering, Attempt, Complaint, Heard, Holder, Paired, Port, Ready, Service, Standing, Survey,
};
pub use machine::{Do, Ending, Output, Setup, Summary};
pub use next::next_steps;
pub use plan::{Chosen, changes};
pub use question::{Answer, Question, Typed};
pub use test_print::{Ground, Test, TestError, gcode};
