//! What the process may do once it has what only root may take.
//!
//! Everything here happens before the first thread is started: the kernel keeps capabilities, the
//! ban on new privileges and Landlock's rules for each thread, and a thread begins with those of
//! the one that starts it. User and groups are set for the whole process by the C library.
//!
//! The order matters. Addresses and the socket of the runtime API are taken before; files are
//! opened after, by the user that will have to open them again.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, AccessFs, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus,
    path_beneath_rules,
};
use nix::unistd::{
    Gid, Group, Uid, User, getegid, geteuid, initgroups, setgroups, setresgid, setresuid,
};
use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
    set_keep_capabilities, set_no_new_privs,
};

use crate::config::Config;
use crate::config::log::LogSink;
use crate::config::operation::{Capability, PrivilegesConfig};
use crate::sys::options::SocketOptions;

/// What a kernel of 2023 and later knows, which is everything that writes.
const LANDLOCK: ABI = ABI::V3;

/// Why the process cannot be what the configuration wants. Nothing is started then.
#[derive(Debug)]
pub enum PrivilegeError {
    /// There is nobody of this name.
    Unknown(&'static str, String),
    /// A number without an entry in the user database has no group.
    NoGroup(String),
    /// The process is somebody else, and not root.
    NotRoot(Uid),
    /// It does not have a capability that it is to keep.
    Missing(CapabilitySet),
    /// The system refused a step.
    Refused(&'static str, io::Error),
    /// Landlock is wanted and not there.
    Landlock(String),
}

impl fmt::Display for PrivilegeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(what, name) => write!(f, "there is no {what} `{name}`"),
            Self::NoGroup(user) => write!(
                f,
                "user {user} is not in the user database, so `group` must say whose group it has"
            ),
            Self::NotRoot(uid) => write!(
                f,
                "only root can take on another `user` or `group`, and this process runs as uid \
                 {uid}"
            ),
            Self::Missing(sets) => write!(
                f,
                "`setcap` wants to keep what this process does not have: {}",
                names(*sets)
            ),
            Self::Refused(step, error) => write!(f, "cannot {step}: {error}"),
            Self::Landlock(why) => write!(f, "`landlock` cannot be had: {why}"),
        }
    }
}

/// Gives up everything that is not needed from here on.
///
/// # Errors
/// When the system refuses, or has no such user or group.
pub fn give_up(config: &Config) -> Result<(), PrivilegeError> {
    let privileges = &config.privileges;
    let identity = Identity::of(privileges)?;
    let wanted = kept_on_demand(privileges);
    let kept = wanted | needed(config);
    if identity.is_some() || !geteuid().is_root() {
        let has = capabilities(None).map_err(refused("read the capabilities"))?;
        let missing = wanted - has.permitted;
        if !missing.is_empty() {
            return Err(PrivilegeError::Missing(missing));
        }
        let kept = kept & has.permitted;
        if let Some(identity) = identity {
            identity.take(kept)?;
        }
        keep_only(kept).map_err(refused("give up capabilities"))?;
    }
    if !privileges.insecure_setuid_wanted {
        set_no_new_privs(true).map_err(refused("forbid new privileges"))?;
    }
    if privileges.landlock {
        confine(&written_to(config))?;
    }
    Ok(())
}

fn refused<E: Into<io::Error>>(step: &'static str) -> impl Fn(E) -> PrivilegeError {
    move |error| PrivilegeError::Refused(step, error.into())
}

/// Who the process is to be.
struct Identity {
    user: Option<Uid>,
    group: Gid,
    /// For the groups that the user database has for it.
    name: Option<CString>,
}

impl Identity {
    /// `None` if it is that already.
    fn of(privileges: &PrivilegesConfig) -> Result<Option<Self>, PrivilegeError> {
        let group = privileges.group.as_deref().map(group).transpose()?;
        let identity = match privileges.user.as_deref() {
            None => group.map(|group| Self {
                user: None,
                group,
                name: None,
            }),
            Some(name) => Some(Self::of_user(name, group)?),
        };
        let Some(identity) = identity else {
            return Ok(None);
        };
        if geteuid().is_root() {
            return Ok(Some(identity));
        }
        let same_user = identity.user.is_none_or(|user| user == geteuid());
        if same_user && identity.group == getegid() {
            return Ok(None);
        }
        Err(PrivilegeError::NotRoot(geteuid()))
    }

    fn of_user(name: &str, group: Option<Gid>) -> Result<Self, PrivilegeError> {
        let look_up = refused("look up `user`");
        let (uid, found) = if let Ok(number) = name.parse() {
            let uid = Uid::from_raw(number);
            (uid, User::from_uid(uid).map_err(look_up)?)
        } else {
            let found = User::from_name(name).map_err(look_up)?;
            let unknown = || PrivilegeError::Unknown("user", name.to_owned());
            let user = found.ok_or_else(unknown)?;
            (user.uid, Some(user))
        };
        let primary = found.as_ref().map(|user| user.gid);
        let no_group = || PrivilegeError::NoGroup(name.to_owned());
        Ok(Self {
            user: Some(uid),
            group: group.or(primary).ok_or_else(no_group)?,
            name: found.and_then(|user| CString::new(user.name).ok()),
        })
    }

    /// Becomes it, with the capabilities `kept`.
    fn take(self, kept: CapabilitySet) -> Result<(), PrivilegeError> {
        let group = self.group;
        bound(kept).map_err(refused("limit the capabilities"))?;
        match &self.name {
            Some(name) => initgroups(name, group),
            None => setgroups(&[group]),
        }
        .map_err(refused("set the groups"))?;
        setresgid(group, group, group).map_err(refused("change the group"))?;
        if let Some(user) = self.user {
            // Becoming another user would take all of them away.
            set_keep_capabilities(true).map_err(refused("keep capabilities"))?;
            setresuid(user, user, user).map_err(refused("change the user"))?;
            set_keep_capabilities(false).map_err(refused("keep no more capabilities"))?;
        }
        Ok(())
    }
}

fn group(name: &str) -> Result<Gid, PrivilegeError> {
    if let Ok(number) = name.parse() {
        return Ok(Gid::from_raw(number));
    }
    let found = Group::from_name(name).map_err(refused("look up `group`"))?;
    let unknown = || PrivilegeError::Unknown("group", name.to_owned());
    found.map(|group| group.gid).ok_or_else(unknown)
}

/// Has programs that this process starts never have more than `kept`.
fn bound(kept: CapabilitySet) -> rustix::io::Result<()> {
    for capability in (CapabilitySet::all() - kept).iter() {
        match remove_capability_from_bounding_set(capability) {
            // The kernel is older than the capability; or a container lets nobody do this, and the
            // ban on new privileges has to be enough.
            Ok(()) | Err(Errno::INVAL | Errno::PERM) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Has this process have `kept` and pass nothing on.
fn keep_only(kept: CapabilitySet) -> rustix::io::Result<()> {
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets)?;
    clear_ambient_capability_set()
}

/// Has what `start` starts begin with the capabilities of this process, which programs do not
/// get otherwise.
///
/// # Errors
/// When the system refuses; then nothing is started.
pub fn pass_on<T>(start: impl FnOnce() -> T) -> io::Result<T> {
    if geteuid().is_root() {
        return Ok(start());
    }
    let own = capabilities(None)?;
    let passed = CapabilitySets {
        inheritable: own.permitted,
        ..own
    };
    set_capabilities(None, passed)?;
    let mut all = own.permitted.iter();
    let raised = all.try_for_each(|one| configure_capability_in_ambient_set(one, true));
    let started = raised.map(|()| start());
    clear_ambient_capability_set()?;
    set_capabilities(None, own)?;
    Ok(started?)
}

/// What the operator wants to keep, for what a later configuration may need.
fn kept_on_demand(privileges: &PrivilegesConfig) -> CapabilitySet {
    let sets = privileges.setcap.iter().map(|capability| match capability {
        Capability::NetAdmin => CapabilitySet::NET_ADMIN,
        Capability::NetBindService => CapabilitySet::NET_BIND_SERVICE,
    });
    sets.fold(CapabilitySet::empty(), CapabilitySet::union)
}

/// What this configuration needs while it runs.
fn needed(config: &Config) -> CapabilitySet {
    let is_privileged =
        |options: &SocketOptions| options.mark.is_some() || options.busy_poll.is_some();
    let backends = config.backends.iter().map(|backend| &backend.socket.both);
    if backends.into_iter().any(is_privileged) {
        CapabilitySet::NET_ADMIN
    } else {
        CapabilitySet::empty()
    }
}

/// The directories of the files that are written while it runs.
fn written_to(config: &Config) -> BTreeSet<PathBuf> {
    let state = config.state.as_ref().map(|state| &state.file);
    let api = config.api.as_ref().map(|api| &api.socket);
    let logs = config
        .log
        .targets
        .iter()
        .filter_map(|target| match &target.to {
            LogSink::File(path) => Some(path),
            LogSink::Stdout | LogSink::Syslog(_) => None,
        });
    let files = state.into_iter().chain(&config.events.file).chain(api);
    let files = files.chain(&config.upgrade_socket).chain(logs);
    let directory = |file: &PathBuf| match file.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    files.map(directory).collect()
}

/// Has nothing in the file system be changed but what is in `directories`, and devices.
fn confine(directories: &BTreeSet<PathBuf>) -> Result<(), PrivilegeError> {
    let write = AccessFs::from_write(LANDLOCK);
    let devices = AccessFs::WriteFile | AccessFs::Truncate;
    let restricted = Ruleset::default()
        .handle_access(write)
        .and_then(Ruleset::create)
        .and_then(|rules| rules.add_rules(path_beneath_rules(directories, write)))
        .and_then(|rules| rules.add_rules(path_beneath_rules(["/dev"], devices)))
        .and_then(|rules| rules.no_new_privs(false).restrict_self());
    match restricted {
        Ok(status) if status.ruleset == RulesetStatus::NotEnforced => Err(
            PrivilegeError::Landlock("this kernel does not have it".to_owned()),
        ),
        Ok(_) => Ok(()),
        Err(error) => Err(PrivilegeError::Landlock(error.to_string())),
    }
}

/// As the configuration writes them.
fn names(sets: CapabilitySet) -> String {
    let names = sets
        .iter_names()
        .map(|(name, _)| format!("cap_{}", name.to_lowercase()));
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::sample;

    #[test]
    fn what_a_configuration_needs_is_kept_and_no_more() {
        let mut backend = sample::backend("bk", false, vec![sample::server("s", 80, false)]);
        let mut config = Config {
            backends: vec![backend.clone()],
            ..sample::empty_config()
        };
        assert_eq!(needed(&config), CapabilitySet::empty());
        backend.socket.both.mark = Some(1);
        config.backends = vec![backend];
        assert_eq!(needed(&config), CapabilitySet::NET_ADMIN);
        config.privileges.setcap = vec![Capability::NetBindService];
        let wanted = kept_on_demand(&config.privileges);
        assert_eq!(wanted, CapabilitySet::NET_BIND_SERVICE);
        assert_eq!(names(wanted), "cap_net_bind_service");
    }

    #[test]
    fn unknown_users_and_groups_are_named() {
        let config = |user: Option<&str>, group: Option<&str>| PrivilegesConfig {
            user: user.map(str::to_owned),
            group: group.map(str::to_owned),
            ..PrivilegesConfig::default()
        };
        let error = |config| Identity::of(&config).err().unwrap().to_string();
        let nobody = config(Some("no such user"), None);
        assert_eq!(error(nobody), "there is no user `no such user`");
        let nothing = config(None, Some("no such group"));
        assert_eq!(error(nothing), "there is no group `no such group`");
        let number = config(Some("4000000000"), None);
        assert!(error(number).contains("`group` must say"));
        assert!(Identity::of(&config(None, None)).unwrap().is_none());
    }

    #[test]
    fn the_directories_of_files_may_be_written_to() {
        let mut config = sample::empty_config();
        config.events.file = Some(PathBuf::from("/var/log/backstop/events.json"));
        let directories = written_to(&config);
        assert_eq!(
            directories.into_iter().collect::<Vec<_>>(),
            [PathBuf::from("/var/log/backstop")]
        );
        config.events.file = Some(PathBuf::from("events.json"));
        assert!(written_to(&config).contains(Path::new(".")));
    }
}
