//! Whom a container runs as: what the request and the image say, resolved by the image's own files.

use crate::error::{Error, Result};
use crate::wire::v1::{LinuxContainerSecurityContext, LinuxContainerUser, SupplementalGroupsPolicy};

/// The image's account files; empty where it has none.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    /// `/etc/passwd`
    pub(crate) passwd: String,
    /// `/etc/group`
    pub(crate) group: String,
}

/// A line of `/etc/passwd`.
struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// A user with everything that its process is given.
#[derive(Debug, PartialEq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The primary one first, then what was asked for, then what the image adds.
    pub(crate) groups: Vec<u32>,
    /// Its home folder, where the image knows it.
    pub(crate) home: Option<String>,
}

/// Resolves the user of a container.
///
/// Without `run_as_user` and `run_as_username` the image's `USER` counts. `run_as_group` needs one of the first two,
/// as the interface demands.
pub(crate) fn resolve(
    asked: &LinuxContainerSecurityContext,
    image_user: &str,
    accounts: &Accounts,
) -> Result<User> {
    let uid = asked.run_as_user.as_ref().map(|value| value.value);
    let gid = asked.run_as_group.as_ref().map(|value| value.value);
    if uid.is_some() && !asked.run_as_username.is_empty() {
        return Err(Error::invalid("run_as_user and run_as_username exclude each other"));
    }
    if gid.is_some() && uid.is_none() && asked.run_as_username.is_empty() {
        return Err(Error::invalid("run_as_group needs run_as_user or run_as_username"));
    }
    let text = match uid {
        Some(uid) => uid.to_string(),
        None if !asked.run_as_username.is_empty() => asked.run_as_username.clone(),
        None => image_user.to_owned(),
    };
    let (user, image_group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text.as_str(), None),
    };
    let found = accounts.user(user)?;
    let gid = match (gid, image_group) {
        (Some(gid), _) => number(gid, "run_as_group")?,
        (None, Some(group)) => accounts.group(group)?,
        (None, None) => found.gid,
    };
    let mut groups = vec![gid];
    let mut add = |group: u32| {
        if !groups.contains(&group) {
            groups.push(group);
        }
    };
    for group in &asked.supplemental_groups {
        add(number(*group, "supplemental_groups")?);
    }
    if asked.supplemental_groups_policy() == SupplementalGroupsPolicy::Merge && !found.name.is_empty() {
        accounts.groups_of(found.name).for_each(&mut add);
    }
    let home = Some(found.home).filter(|home| !home.is_empty()).map(str::to_owned);
    Ok(User { uid: found.uid, gid, groups, home })
}

impl User {
    /// As the status reports it.
    pub(crate) fn reported(&self) -> LinuxContainerUser {
        LinuxContainerUser {
            uid: self.uid.into(),
            gid: self.gid.into(),
            supplemental_groups: self.groups.iter().map(|group| i64::from(*group)).collect(),
        }
    }
}

impl Accounts {
    fn user(&self, text: &str) -> Result<Account<'_>> {
        let all = || self.passwd.lines().filter_map(account);
        if text.is_empty() {
            return Ok(all().find(|account| account.uid == 0).unwrap_or(Account {
                name: "root",
                uid: 0,
                gid: 0,
                home: "/root",
            }));
        }
        if let Ok(uid) = text.parse::<u32>() {
            let unknown = Account { name: "", uid, gid: 0, home: "" };
            return Ok(all().find(|account| account.uid == uid).unwrap_or(unknown));
        }
        all()
            .find(|account| account.name == text)
            .ok_or_else(|| Error::invalid(format!("the image's /etc/passwd has no user {text:?}")))
    }

    fn group(&self, text: &str) -> Result<u32> {
        if let Ok(gid) = text.parse::<u32>() {
            return Ok(gid);
        }
        let found = self.group.lines().filter_map(group).find(|(name, ..)| *name == text);
        found
            .map(|(_, gid, _)| gid)
            .ok_or_else(|| Error::invalid(format!("the image's /etc/group has no group {text:?}")))
    }

    fn groups_of(&self, user: &str) -> impl Iterator<Item = u32> {
        let lines = self.group.lines().filter_map(group);
        lines
            .filter(move |(_, _, members)| members.split(',').any(|member| member == user))
            .map(|(_, gid, _)| gid)
    }
}

fn account(line: &str) -> Option<Account<'_>> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let home = fields.nth(1).unwrap_or_default();
    Some(Account { name, uid, gid, home })
}

fn group(line: &str) -> Option<(&str, u32, &str)> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    let gid = fields.nth(1)?.parse().ok()?;
    Some((name, gid, fields.next().unwrap_or_default()))
}

fn number(value: i64, field: &str) -> Result<u32> {
    u32::try_from(value).map_err(|_| Error::invalid(format!("{field} is {value}, which is no id")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::v1::Int64Value;

    fn accounts() -> Accounts {
        Accounts {
            passwd: "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001::/srv:/bin/sh\nbroken\n".to_owned(),
            group: "root:x:0:\nweb:x:1001:\nlogs:x:50000:web,other\nnone:x:7:\n".to_owned(),
        }
    }

    fn user(uid: Option<i64>, name: &str, gid: Option<i64>) -> LinuxContainerSecurityContext {
        LinuxContainerSecurityContext {
            run_as_user: uid.map(|value| Int64Value { value }),
            run_as_username: name.to_owned(),
            run_as_group: gid.map(|value| Int64Value { value }),
            ..Default::default()
        }
    }

    #[test]
    fn the_image_says_who_when_nobody_else_does() {
        let image = |text| resolve(&user(None, "", None), text, &accounts()).unwrap();
        assert_eq!((image("").uid, image("").gid), (0, 0));
        assert_eq!((image("web").uid, image("web").gid), (1000, 1001));
        assert_eq!((image("web:logs").gid, image("12:34").gid, image("12").gid), (50000, 34, 0));
        assert!(resolve(&user(None, "", None), "nobody-knows", &accounts()).is_err());
    }

    #[test]
    fn groups_are_merged_or_strict() {
        let mut asked = user(Some(1000), "", None);
        asked.supplemental_groups = vec![1234];
        assert_eq!(resolve(&asked, "", &accounts()).unwrap().groups, [1001, 1234, 50000]);
        asked.supplemental_groups_policy = SupplementalGroupsPolicy::Strict.into();
        assert_eq!(resolve(&asked, "", &accounts()).unwrap().groups, [1001, 1234]);
    }

    #[test]
    fn a_group_alone_is_refused() {
        let error = resolve(&user(None, "", Some(5)), "web", &accounts()).unwrap_err();
        assert_eq!(error.to_string(), "run_as_group needs run_as_user or run_as_username");
        assert_eq!(resolve(&user(None, "web", Some(5)), "", &accounts()).unwrap().gid, 5);
        assert!(resolve(&user(Some(-1), "", None), "", &accounts()).is_err());
    }
}
