//! What plugins may ask to be told of.

use std::fmt;

use crate::wire::api::Event;

/// A set of events, a bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Events(u32);

impl Events {
    /// All that there are.
    pub(crate) const ALL: Self = Self((1 << (Event::Last as u32 - 1)) - 1);

    /// The set that a plugin subscribes to; none stands for all. Bits without a meaning are given back.
    pub(crate) fn subscribed(bits: i32) -> Result<Self, u32> {
        match bits.cast_unsigned() {
            0 => Ok(Self::ALL),
            bits if bits & !Self::ALL.0 == 0 => Ok(Self(bits)),
            bits => Err(bits & !Self::ALL.0),
        }
    }

    pub(crate) fn contains(self, event: Event) -> bool {
        self.0 & bit(event) != 0
    }

    pub(crate) fn bits(self) -> u32 {
        self.0
    }

    pub(crate) fn from_bits(bits: u32) -> Self {
        Self(bits & Self::ALL.0)
    }
}

fn bit(event: Event) -> u32 {
    match event {
        Event::Unknown | Event::Last => 0,
        event => 1 << (event as u32 - 1),
    }
}

/// The call that tells of an event.
pub(crate) fn call(event: Event) -> &'static str {
    match event {
        Event::Unknown | Event::Last => "StateChange",
        Event::RunPodSandbox => "RunPodSandbox",
        Event::UpdatePodSandbox => "UpdatePodSandbox",
        Event::PostUpdatePodSandbox => "PostUpdatePodSandbox",
        Event::StopPodSandbox => "StopPodSandbox",
        Event::RemovePodSandbox => "RemovePodSandbox",
        Event::CreateContainer => "CreateContainer",
        Event::PostCreateContainer => "PostCreateContainer",
        Event::StartContainer => "StartContainer",
        Event::PostStartContainer => "PostStartContainer",
        Event::UpdateContainer => "UpdateContainer",
        Event::PostUpdateContainer => "PostUpdateContainer",
        Event::StopContainer => "StopContainer",
        Event::RemoveContainer => "RemoveContainer",
        Event::ValidateContainerAdjustment => "ValidateContainerAdjustment",
    }
}

impl fmt::Display for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = (1..Event::Last as i32).filter_map(|number| Event::try_from(number).ok());
        let names: Vec<&str> = all.filter(|event| self.contains(*event)).map(call).collect();
        f.write_str(&names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_events_are_all_and_unknown_ones_are_refused() {
        assert_eq!(Events::subscribed(0), Ok(Events::ALL));
        assert_eq!(Events::ALL.bits(), 0x3fff);
        let two = Events::subscribed(0b1001).unwrap();
        assert_eq!(two.to_string(), "RunPodSandbox,CreateContainer");
        assert!(!two.contains(Event::StopPodSandbox));
        assert_eq!(Events::subscribed(1 << 14), Err(1 << 14));
    }
}
