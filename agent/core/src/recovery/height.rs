//! How high the nozzle stands: what may be known of it, and what has to be said.

use serde::{Deserialize, Serialize};

use super::plan::Request;
use super::point::Point;

/// How the height of the nozzle is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Height {
    /// It is where it stopped: nobody has moved Z, and it has not sunk.
    Held,
    /// A person has lowered it until it just touches the top of the part.
    Touching,
    /// The machine homes Z away from the part.
    Homed,
}

pub(super) fn choose_height(request: &Request<'_>) -> Result<Height, String> {
    let print = &request.profile.recovery.print;
    let name = &request.profile.name;
    if !print.is_possible() {
        return Err(format!(
            "how a {name} goes on with a part on its bed is not known, and homing Z could run into the part"
        ));
    }
    let homes = !print.home_z.is_empty();
    match request.height {
        None if homes => Ok(Height::Homed),
        None => Err("how high the nozzle stands is not known any more: say --z held when nobody has moved it since, or lower it by hand until it just touches the part and say --z touching".to_owned()),
        Some(Height::Homed) if !homes => Err(format!("a {name} homes Z on the bed, where the part is")),
        Some(height @ (Height::Held | Height::Touching)) if print.set_z.is_none() => {
            let word = if height == Height::Held { "held" } else { "touching" };
            Err(format!("a {name} cannot be told its height (--z {word}); it homes Z"))
        }
        Some(height) => Ok(height),
    }
}

/// After a reset the moves that were planned are lost, and with them a change of height among them.
pub(super) fn held_z(request: &Request<'_>, point: &Point) -> Result<f64, String> {
    point.stands_at_z.ok_or_else(|| {
        let why = if request.since.knows_its_place() { "its height is not in the file" } else { "it was just changing its height when it stopped" };
        format!("where the nozzle stands is not certain, {why}: lower it by hand until it just touches the part and say --z touching")
    })
}
