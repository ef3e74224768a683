//! Sandboxes that are broken on purpose: roles are sealed without a class of system calls that they need.
//!
//! As if on a machine whose C library needs what nobody thought of: it must be noticed, and the program end in a clear way.

use serde::{Deserialize, Serialize};
use syscall_policy::Class;

use crate::roles::{self, Role};

/// A class that a role does not get, or none of them does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Withheld {
    role: Option<Role>,
    /// By name, which is known to be one.
    class: String,
}

impl Withheld {
    /// The class, if that role is not to have it.
    pub(crate) fn from(&self, role: Role) -> Option<Class> {
        self.role.is_none_or(|of| of == role).then(|| Class::named(&self.class))?
    }

    /// `CLASS`, or `ROLE:CLASS`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (role, class) = text.split_once(':').map_or((None, text), |(role, class)| (Some(role), class));
        let role = role.map(|name| {
            let sealed = |role: &Role| role.spec().promises.is_some();
            Role::named(name).filter(sealed).ok_or_else(|| {
                let names = roles::TABLE.iter().filter(|spec| sealed(&spec.role)).map(|spec| spec.name);
                format!("the roles that are sealed are: {}", names.collect::<Vec<_>>().join(", "))
            })
        });
        // Nothing could tell of a process that cannot end: all others are told of by somebody.
        let known = |class: &Class| *class != Class::Exit;
        if Class::named(class).filter(known).is_none() {
            let names = Class::ALL.iter().copied().filter(known).map(Class::name);
            return Err(format!("the classes are: {}", names.collect::<Vec<_>>().join(", ")));
        }
        Ok(Self { role: role.transpose()?, class: class.to_owned() })
    }
}

impl core::fmt::Display for Withheld {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.role {
            Some(role) => write!(f, "{role}:{}", self.class),
            None => f.write_str(&self.class),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_withheld_from_one_role_or_from_all() {
        for (text, from_net, from_key) in
            [("poll", Some(Class::Poll), Some(Class::Poll)), ("net:memory", Some(Class::Memory), None)]
        {
            let withheld = Withheld::parse(text).expect("a class");
            assert_eq!((withheld.from(Role::Net), withheld.from(Role::Key)), (from_net, from_key));
            assert_eq!(withheld.to_string(), text);
        }
        for text in ["", "nothing", "hook:poll", "nobody:poll", "net:", "net:poll:poll", "exit"] {
            assert!(Withheld::parse(text).is_err(), "{text}");
        }
    }
}
