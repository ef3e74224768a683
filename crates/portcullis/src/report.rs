//! What held: one line for each layer.

use core::fmt;

use crate::os;
use crate::rehearsal::Lowered;

/// A mechanism of the kernel that takes something away. Layers are independent: a kernel that lacks one loses that one
/// only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Layer {
    /// No program that is started gains rights (`PR_SET_NO_NEW_PRIVS`, Linux 3.5).
    NoNewPrivileges,
    /// Neither core dumps nor debuggers see the memory (`PR_SET_DUMPABLE`).
    NotDumpable,
    /// An unprivileged user and group of its own, no other groups.
    Identity,
    /// No capability in any set.
    Capabilities,
    /// An empty directory that cannot be filled as the root directory.
    Root,
    /// Namespaces of its own, with nothing in them.
    Namespaces,
    /// Resource limits.
    Limits,
    /// Memory that was written never becomes executable (`PR_SET_MDWE`, Linux 6.3).
    Mdwe,
    /// Files by directory, ports, signals and abstract sockets (Landlock, Linux 5.13).
    Landlock,
    /// System calls (seccomp filters, Linux 3.5).
    Seccomp,
    /// Files by directory (unveil(2), OpenBSD 6.4).
    Unveil,
    /// System calls (pledge(2), OpenBSD 5.9).
    Pledge,
    /// Every name outside the process, and what can be done with held directories (Capsicum, FreeBSD 10).
    Capsicum,
    /// Files by directory, ports, processes (a Seatbelt profile, macOS).
    Seatbelt,
}

impl Layer {
    /// All of them, whatever system they are of, in the order in which they are reported.
    pub const ALL: [Self; 14] = [
        Self::NoNewPrivileges,
        Self::NotDumpable,
        Self::Identity,
        Self::Capabilities,
        Self::Root,
        Self::Namespaces,
        Self::Limits,
        Self::Mdwe,
        Self::Landlock,
        Self::Seccomp,
        Self::Unveil,
        Self::Pledge,
        Self::Capsicum,
        Self::Seatbelt,
    ];

    /// The layer that limits files by directory on this operating system; on one without a back end that of Linux, which
    /// is unavailable there.
    pub const PATHS: Self = os::PATHS;

    /// The layer that limits system calls, or what they can reach, on this operating system; on one without a back end
    /// that of Linux, which is unavailable there.
    pub const CALLS: Self = os::CALLS;

    /// The layers of this operating system, in the order in which they are reported. Where there is no back end these are
    /// [all](Self::ALL), none of which can be had.
    #[must_use]
    pub const fn native() -> &'static [Self] {
        &os::LAYERS
    }

    /// Its name, as [`Display`](fmt::Display) writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoNewPrivileges => "no-new-privileges",
            Self::NotDumpable => "not-dumpable",
            Self::Identity => "identity",
            Self::Capabilities => "capabilities",
            Self::Root => "root",
            Self::Namespaces => "namespaces",
            Self::Limits => "limits",
            Self::Mdwe => "mdwe",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
            Self::Unveil => "unveil",
            Self::Pledge => "pledge",
            Self::Capsicum => "capsicum",
            Self::Seatbelt => "seatbelt",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What became of a layer; the text says what holds, what is missing, or why it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Outcome {
    /// It holds as asked for.
    Enforced(String),
    /// It holds as far as this kernel goes.
    Partial(String),
    /// It was asked for and cannot be had here.
    Unavailable(String),
    /// It was not asked for, or there is nothing for it to take away.
    Skipped(String),
}

impl Outcome {
    /// The word for it: `enforced`, `partial`, `unavailable` or `skipped`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Enforced(_) => "enforced",
            Self::Partial(_) => "partial",
            Self::Unavailable(_) => "unavailable",
            Self::Skipped(_) => "skipped",
        }
    }

    /// What holds, what is missing, or why it does not.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Enforced(text) | Self::Partial(text) | Self::Unavailable(text) | Self::Skipped(text) => text,
        }
    }

    /// The version of what holds at least in part, where the kernel numbers what it has (Landlock).
    #[must_use]
    pub fn version(&self) -> Option<u32> {
        self.holds()?.strip_prefix(VERSION)?.split(':').next()?.parse().ok()
    }

    /// Whether the machine can tell somebody else of refused calls (seccomp user notification, Linux 5.0). Only
    /// [`machine`](crate::machine) says so.
    #[must_use]
    pub fn notifies(&self) -> bool {
        self.holds().is_some_and(|text| text.ends_with(NOTIFIES))
    }

    /// The words for what holds.
    fn holds(&self) -> Option<&str> {
        match self {
            Self::Enforced(text) | Self::Partial(text) => Some(text),
            Self::Unavailable(_) | Self::Skipped(_) => None,
        }
    }
}

/// Comes before the version, and a colon after it.
pub(crate) const VERSION: &str = "version ";

/// Said of seccomp last.
pub(crate) const NOTIFIES: &str = ", and refused calls can be told of";

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<11}  {}", self.word(), self.text())
    }
}

/// A layer and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct LayerReport {
    /// The layer.
    pub layer: Layer,
    /// What became of it.
    pub outcome: Outcome,
}

impl LayerReport {
    /// Puts the two together.
    #[must_use]
    pub const fn new(layer: Layer, outcome: Outcome) -> Self {
        Self { layer, outcome }
    }

    /// Whether it stands for a mechanism that needs no list of calls, and holds at least in part.
    const fn confines(&self) -> bool {
        matches!(self.layer, Layer::Pledge | Layer::Capsicum | Layer::Seatbelt)
            && matches!(self.outcome, Outcome::Enforced(_) | Outcome::Partial(_))
    }
}

impl fmt::Display for LayerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<17}  {}", self.layer, self.outcome)
    }
}

/// What a process gave up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Report {
    /// The name the sandbox was given.
    pub name: String,
    /// Every layer of the system once, in the order of [`Layer::native`].
    pub layers: Vec<LayerReport>,
    /// What a [rehearsal](crate::Sandbox::rehearse) took back.
    pub lowered: Vec<Lowered>,
    /// How many system calls the filter allows, all of them or for some arguments; 0 if there is no filter, as on any
    /// system but Linux.
    pub calls_allowed: usize,
}

impl Report {
    /// A report with nothing in it yet.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), layers: Vec::new(), lowered: Vec::new(), calls_allowed: 0 }
    }

    /// Whether a layer holds as asked for. What holds in part does not count.
    #[must_use]
    pub fn held(&self, layer: Layer) -> bool {
        matches!(self.outcome(layer), Some(Outcome::Enforced(_)))
    }

    /// What became of a layer.
    #[must_use]
    pub fn outcome(&self, layer: Layer) -> Option<&Outcome> {
        self.layers.iter().find(|report| report.layer == layer).map(|report| &report.outcome)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        match self.calls_allowed {
            0 => match self.layers.iter().find(|report| report.confines()) {
                Some(report) => write!(f, "confined by {}", report.layer)?,
                None => f.write_str("system calls are not filtered")?,
            },
            1 => f.write_str("1 system call allowed")?,
            count => write!(f, "{count} system calls allowed")?,
        }
        for report in &self.layers {
            write!(f, "\n  {report}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::new("key");
        report.calls_allowed = 33;
        report.layers = vec![
            LayerReport::new(Layer::NoNewPrivileges, Outcome::Enforced("set".to_owned())),
            LayerReport::new(Layer::Landlock, Outcome::Partial("version 2".to_owned())),
            LayerReport::new(Layer::Seccomp, Outcome::Unavailable("not built in".to_owned())),
        ];
        report
    }

    #[test]
    fn a_report_is_a_table() {
        assert_eq!(
            report().to_string(),
            "key: 33 system calls allowed\n  \
             no-new-privileges  enforced     set\n  \
             landlock           partial      version 2\n  \
             seccomp            unavailable  not built in"
        );
    }

    #[test]
    fn what_confines_without_a_filter_is_named() {
        let mut report = Report::new("key");
        report.layers = vec![LayerReport::new(Layer::Pledge, Outcome::Enforced("stdio".to_owned()))];
        assert!(report.to_string().starts_with("key: confined by pledge\n"), "{report}");
        report.layers = vec![LayerReport::new(Layer::Capsicum, Outcome::Unavailable("no".to_owned()))];
        assert!(report.to_string().starts_with("key: system calls are not filtered\n"), "{report}");
    }

    #[test]
    fn layers_of_this_system_are_known_and_in_order() {
        assert!(Layer::native().is_sorted() && Layer::ALL.is_sorted());
        assert!(Layer::native().contains(&Layer::PATHS) && Layer::native().contains(&Layer::CALLS));
        let mut names = Layer::ALL.map(Layer::name).to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Layer::ALL.len());
    }

    #[test]
    fn versions_and_notifications_are_found_in_what_holds() {
        assert_eq!(Outcome::Partial("version 2: files; not ports".to_owned()).version(), Some(2));
        assert_eq!(Outcome::Enforced("version 10: files".to_owned()).version(), Some(10));
        assert_eq!(Outcome::Unavailable("version 2: files".to_owned()).version(), None);
        assert_eq!(Outcome::Enforced("offered".to_owned()).version(), None);
        assert!(Outcome::Enforced(format!("offered{NOTIFIES}")).notifies());
        assert!(!Outcome::Enforced("offered".to_owned()).notifies());
    }

    #[test]
    fn what_holds_in_part_is_not_held() {
        let report = report();
        assert!(report.held(Layer::NoNewPrivileges));
        assert!(!report.held(Layer::Landlock));
        assert!(!report.held(Layer::Mdwe));
        assert_eq!(report.outcome(Layer::Mdwe), None);
    }

    /// Reports go from process to process in a format that does not describe itself.
    #[cfg(feature = "serde")]
    #[test]
    fn a_report_survives_being_sent() {
        let bytes = postcard::to_allocvec(&report()).unwrap();
        assert_eq!(postcard::from_bytes::<Report>(&bytes).unwrap(), report());
    }
}
