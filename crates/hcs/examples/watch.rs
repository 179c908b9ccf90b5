//! Creates a container, hears what happens to it, and ends it.
//!
//! ```text
//! cargo run --example watch
//! ```

mod host;

use hcs::documents::{Container, GuestOs, StartOptions};
use hcs::event::EventOptions;
use hcs::service::Configuration;
use std::error::Error;
use std::sync::mpsc;

fn main() -> Result<(), Box<dyn Error>> {
    let service = host::compute_service()?;
    let container = Container::new().guest_os(GuestOs::new().host_name("example"));
    let document = host::document().container(container).should_terminate_on_last_handle_closed(true);
    let (system, created) = service.create_system("example-watch", &Configuration::from(document))?;
    created.wait()?;
    println!("created {}", system.id());

    let (sender, events) = mpsc::channel();
    // It comes from threads of the service.
    let callback = move |event: &hcs::event::Event| sender.send(event.clone()).unwrap_or_default();
    system.set_callback(EventOptions::default(), Box::new(callback))?;

    let exit = system.exit()?;
    system.start(&StartOptions::new())?.wait()?;
    println!("started");
    system.terminate()?.wait()?;
    println!("heard {:?}", events.recv()?);
    let status = exit.wait()?;
    println!("ended: {}", status.exit_type.map(|kind| kind.to_string()).unwrap_or_default());
    Ok(())
}
