//! Lists the compute systems of this host. With the argument `demo`, creates one first, for a host that has none.
//!
//! ```text
//! cargo run --example systems
//! ```

mod host;

use hcs::documents::{Container, GuestOs, SystemQuery};
use hcs::service::{ComputeService, Configuration};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let service = host::compute_service()?;
    let demo = std::env::args().nth(1).is_some_and(|argument| argument == "demo");
    let made = demo.then(|| create(&*service)).transpose()?;
    for system in service.enumerate_systems(&SystemQuery::new())?.wait()? {
        println!(
            "{}  {}  {}  {}",
            system.id.unwrap_or_default(),
            system.system_type.map(|kind| kind.to_string()).unwrap_or_default(),
            system.state.map(|state| state.to_string()).unwrap_or_default(),
            system.owner.unwrap_or_default(),
        );
    }
    if let Some(system) = made {
        system.terminate()?.wait()?;
    }
    Ok(())
}

fn create(service: &dyn ComputeService) -> Result<Box<dyn hcs::service::System>, hcs::Error> {
    let container = Container::new().guest_os(GuestOs::new().host_name("example"));
    let document = host::document().container(container);
    let (system, created) = service.create_system("example-systems", &Configuration::from(document))?;
    created.wait()?;
    Ok(system)
}
