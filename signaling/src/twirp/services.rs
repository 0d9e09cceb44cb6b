//! Names of the LiveKit protocol's services and methods that this server does not implement.

const LACKING: [(&str, &[&str]); 8] = [
    ("RoomService", &["ForwardParticipant", "MoveParticipant", "PerformRpc"]),
    (
        "Egress",
        &[
            "StartEgress",
            "UpdateLayout",
            "UpdateStream",
            "ListEgress",
            "StopEgress",
            "StartRoomCompositeEgress",
            "StartWebEgress",
            "StartParticipantEgress",
            "StartTrackCompositeEgress",
            "StartTrackEgress",
        ],
    ),
    ("Ingress", &["CreateIngress", "UpdateIngress", "ListIngress", "DeleteIngress"]),
    (
        "SIP",
        &[
            "ListSIPTrunk",
            "CreateSIPInboundTrunk",
            "CreateSIPOutboundTrunk",
            "UpdateSIPInboundTrunk",
            "UpdateSIPOutboundTrunk",
            "GetSIPInboundTrunk",
            "GetSIPOutboundTrunk",
            "ListSIPInboundTrunk",
            "ListSIPOutboundTrunk",
            "DeleteSIPTrunk",
            "CreateSIPTrunk",
            "CreateSIPDispatchRule",
            "UpdateSIPDispatchRule",
            "ListSIPDispatchRule",
            "DeleteSIPDispatchRule",
            "CreateSIPParticipant",
            "TransferSIPParticipant",
        ],
    ),
    ("AgentDispatchService", &["CreateDispatch", "DeleteDispatch", "ListDispatch"]),
    (
        "AgentSimulation",
        &[
            "CreateSimulationRun",
            "ConfirmSimulationSourceUpload",
            "GetSimulationRun",
            "ListSimulationRuns",
            "CountSimulationRuns",
            "CancelSimulationRun",
            "CreateScenarioFromSession",
        ],
    ),
    (
        "Connector",
        &[
            "DialWhatsAppCall",
            "DisconnectWhatsAppCall",
            "ConnectWhatsAppCall",
            "AcceptWhatsAppCall",
            "ConnectTwilioCall",
        ],
    ),
    (
        "PhoneNumberService",
        &[
            "SearchPhoneNumbers",
            "PurchasePhoneNumber",
            "ListPhoneNumbers",
            "GetPhoneNumber",
            "UpdatePhoneNumber",
            "ReleasePhoneNumbers",
        ],
    ),
];

/// Whether the protocol has this method and this server has not.
pub(super) fn lacks(service: &str, method: &str) -> bool {
    LACKING.iter().any(|(name, methods)| *name == service && methods.contains(&method))
}
