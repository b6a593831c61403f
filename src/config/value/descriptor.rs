//! Addresses of sockets that the process is started with.

use std::net::SocketAddr;

use super::Fault;
use crate::sys::inherited::{self, Unusable};

/// Where the socket listens that is meant by what stands after `fd@`: its number, or its name in
/// systemd (configuration.txt, "bind", which knows numbers only).
pub(super) fn bind_address(which: &str) -> Result<SocketAddr, Fault> {
    if which.is_empty() {
        return Err(Fault::new("there is no number after `fd@`").help("write it as in \"fd@3\""));
    }
    inherited::address(which).map_err(|why| fault(which, &why, &inherited::listed()))
}

fn fault(which: &str, why: &Unusable, listed: &str) -> Fault {
    let title = match why {
        Unusable::NotOpen => format!("descriptor {which} was not open when this program started"),
        Unusable::NoSuchName => format!("no descriptor is named `{which}`"),
        Unusable::Several(numbers) => {
            let numbers: Vec<_> = numbers.iter().map(ToString::to_string).collect();
            format!(
                "several descriptors are named `{which}`: {}",
                numbers.join(", ")
            )
        }
        Unusable::Is(what) => {
            format!("descriptor {which} is {what}, and no TCP socket that listens")
        }
    };
    let help = match (why, listed) {
        (Unusable::Several(_), _) => {
            "write them by number, or give each a `FileDescriptorName=` of its own".to_owned()
        }
        (_, "") => "whoever starts the program has to open it, as systemd does for a .socket \
                    unit; else write an address, such as \"0.0.0.0:81\""
            .to_owned(),
        _ => format!("there are: {listed}"),
    };
    Fault::new(title).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_told() {
        let told = |why| {
            let fault = fault("3", &why, "4 (web, 127.0.0.1:80)");
            (fault.title, fault.help.unwrap())
        };
        assert_eq!(
            told(Unusable::Is("a UDP socket")),
            (
                "descriptor 3 is a UDP socket, and no TCP socket that listens".to_owned(),
                "there are: 4 (web, 127.0.0.1:80)".to_owned()
            )
        );
        assert_eq!(
            told(Unusable::Several(vec![3, 4])).0,
            "several descriptors are named `3`: 3, 4"
        );
    }
}
