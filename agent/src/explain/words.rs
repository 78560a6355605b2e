//! How the tables of explanations are written down, so that a code without an explanation does not compile.

/// What is said of one code besides its own sentence.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    /// What it means, after the sentence that the code has of its own; may be empty.
    pub(super) means: &'static str,
    /// What the agent has done about it; empty where that follows from something else, such as a severity.
    pub(super) done: &'static str,
    /// What to try, one thing after the other.
    pub(super) steps: &'static [&'static str],
    /// A page and its headline, by its path from the root of the project; may be empty.
    pub(super) see: &'static str,
}

impl Words {
    /// What stands in a table before it is filled.
    pub(super) const NONE: Self = Self { means: "", done: "", steps: &[], see: "" };
}

/// The words of one code.
macro_rules! words {
    ({ $(means: $means:literal,)? $(done: $done:literal,)? try: [$($step:literal),+ $(,)?], $(see: $see:literal,)? }) => {
        $crate::explain::words::Words {
            means: [$($means,)? ""][0],
            done: [$($done,)? ""][0],
            steps: &[$($step),+],
            see: [$($see,)? ""][0],
        }
    };
}

/// A part of a table that is too long for one file; [`gathered`] puts the parts together.
macro_rules! rows {
    ($of:ident: $($variant:ident $body:tt)*) => {
        pub(in crate::explain) const ROWS: &[($of, $crate::explain::words::Words)] =
            &[$(($of::$variant, words!($body))),*];
    };
}

/// The words of every fault by its place among all. One that stands in no part, or in two, does not compile.
macro_rules! gathered {
    ($name:ident, $of:ident, $code:ident, $parts:expr) => {
        static $name: [$crate::explain::words::Words; $of::ALL.len()] = {
            let parts: &[&[($of, $crate::explain::words::Words)]] = $parts;
            let mut found = [false; $of::ALL.len()];
            let mut all = [$crate::explain::words::Words::NONE; $of::ALL.len()];
            let mut part = 0;
            while part < parts.len() {
                let mut row = 0;
                while row < parts[part].len() {
                    let (it, words) = parts[part][row];
                    if found[it as usize] {
                        // It is explained twice.
                        panic!("{}", it.$code());
                    }
                    found[it as usize] = true;
                    all[it as usize] = words;
                    row += 1;
                }
                part += 1;
            }
            let mut at = 0;
            while at < found.len() {
                if !found[$of::ALL[at] as usize] {
                    // It has no explanation: give it one in the part that it belongs to.
                    panic!("{}", $of::ALL[at].$code());
                }
                at += 1;
            }
            all
        };
    };
}

/// A whole table: every variant with its words. One that has none does not compile; what a peer of a later version says has none.
macro_rules! every {
    ($name:ident, $of:ident $(, $unknown:ident)?: $($variant:ident $body:tt)*) => {
        pub(in crate::explain) fn $name() -> impl Iterator<Item = (&'static $of, $crate::explain::words::Words)> {
            const ALL: &[$of] = &[$($of::$variant),*];
            fn words(it: &$of) -> Option<$crate::explain::words::Words> {
                match it {
                    $($of::$variant => Some(words!($body)),)*
                    $($of::$unknown(_) => None,)?
                }
            }
            ALL.iter().filter_map(|it| Some((it, words(it)?)))
        }
    };
}
