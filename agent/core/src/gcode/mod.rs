//! G-code as text: from a file's bytes to single commands, and from a command to the bytes on the wire.

pub mod dials;
pub mod filament;
pub mod frame;
pub mod line;
pub mod modal;
pub mod reader;
pub mod scan;
pub mod target;

pub use dials::Dials;
pub use filament::{FilamentCount, FilamentMeter};
pub use frame::{Framing, checksum};
pub use line::{LineError, Problem};
pub use modal::Modal;
pub use reader::{Batch, Position, Reader};
pub use scan::Summary;
pub use target::{Heater, Target, targets};
