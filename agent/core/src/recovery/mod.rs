//! How a print that was interrupted goes on: what happened to it, where in its file it is whole, and a plan that a person
//! sees before anything moves.
//!
//! * `loss` names what happened.
//! * `point` finds the last command that is certainly in the part.
//! * `follow` follows the file up to there, command by command: what the firmware would know.
//! * `height` is how high the nozzle stands.
//! * `plan` makes the steps, each with its lines and a sentence why, or says why it cannot be.

mod follow;
mod height;
mod loss;
mod plan;
mod point;

pub use follow::Followed;
pub use height::Height;
pub use loss::{Evidence, Loss, Since};
pub use plan::{Plan, Refused, Request, Step, plan, unsure_moves};
pub use point::{NoPoint, Point, ResumeFrom, Seeker};
