"""Values of OCPI's enumerations that are no Enum here: those that are closed, and those of 2.2.1 that 2.3.0 opened.

Source: OCPI 2.2.1 and 2.3.0 mod_locations, mod_sessions, mod_tariffs, mod_tokens, mod_charging_profiles.
"""

from __future__ import annotations

from collections.abc import Mapping

# fmt: off
CLOSED: Mapping[str, frozenset[str]] = {
    "ChargingRateUnit": frozenset({"W", "A"}),
    "ConnectorFormat": frozenset({"SOCKET", "CABLE"}),
    "EnergySourceCategory": frozenset({
        "NUCLEAR", "GENERAL_FOSSIL", "COAL", "GAS", "GENERAL_GREEN", "SOLAR", "WIND", "WATER"
    }),
    "EVSEPosition": frozenset({"LEFT", "RIGHT", "CENTER"}),
    "ParkingDirection": frozenset({"PARALLEL", "PERPENDICULAR", "ANGLE"}),
    "PowerType": frozenset({"AC_1_PHASE", "AC_2_PHASE", "AC_2_PHASE_SPLIT", "AC_3_PHASE", "DC"}),
    "ProfileType": frozenset({"CHEAP", "FAST", "GREEN", "REGULAR"}),
    "TariffType": frozenset({"AD_HOC_PAYMENT", "PROFILE_CHEAP", "PROFILE_FAST", "PROFILE_GREEN", "REGULAR"}),
}
"""No other value is allowed, in either version."""
V221: Mapping[str, frozenset[str]] = {
    "TokenType": frozenset({"AD_HOC_USER", "APP_USER", "OTHER", "RFID"}),
    "Capability": frozenset({
        "CHARGING_PROFILE_CAPABLE", "CHARGING_PREFERENCES_CAPABLE", "CHIP_CARD_SUPPORT",
        "CONTACTLESS_CARD_SUPPORT", "CREDIT_CARD_PAYABLE", "DEBIT_CARD_PAYABLE", "PED_TERMINAL",
        "REMOTE_START_STOP_CAPABLE", "RESERVABLE", "RFID_READER", "START_SESSION_CONNECTOR_REQUIRED",
        "TOKEN_GROUP_CAPABLE", "UNLOCK_CAPABLE"
    }),
    "ConnectorType": frozenset({
        "CHADEMO", "CHAOJI", "DOMESTIC_A", "DOMESTIC_B", "DOMESTIC_C", "DOMESTIC_D", "DOMESTIC_E", "DOMESTIC_F",
        "DOMESTIC_G", "DOMESTIC_H", "DOMESTIC_I", "DOMESTIC_J", "DOMESTIC_K", "DOMESTIC_L", "DOMESTIC_M",
        "DOMESTIC_N", "DOMESTIC_O", "GBT_AC", "GBT_DC", "IEC_60309_2_single_16", "IEC_60309_2_three_16",
        "IEC_60309_2_three_32", "IEC_60309_2_three_64", "IEC_62196_T1", "IEC_62196_T1_COMBO", "IEC_62196_T2",
        "IEC_62196_T2_COMBO", "IEC_62196_T3A", "IEC_62196_T3C", "NEMA_5_20", "NEMA_6_30", "NEMA_6_50",
        "NEMA_10_30", "NEMA_10_50", "NEMA_14_30", "NEMA_14_50", "PANTOGRAPH_BOTTOM_UP", "PANTOGRAPH_TOP_DOWN",
        "TESLA_R", "TESLA_S"
    }),
    "EnvironmentalImpactCategory": frozenset({"NUCLEAR_WASTE", "CARBON_DIOXIDE"}),
    "Facility": frozenset({
        "HOTEL", "RESTAURANT", "CAFE", "MALL", "SUPERMARKET", "SPORT", "RECREATION_AREA", "NATURE", "MUSEUM",
        "BIKE_SHARING", "BUS_STOP", "TAXI_STAND", "TRAM_STOP", "METRO_STATION", "TRAIN_STATION", "AIRPORT",
        "PARKING_LOT", "CARPOOL_PARKING", "FUEL_STATION", "WIFI"
    }),
    "ImageCategory": frozenset({"CHARGER", "ENTRANCE", "LOCATION", "NETWORK", "OPERATOR", "OTHER", "OWNER"}),
    "ParkingRestriction": frozenset({"EV_ONLY", "PLUGGED", "DISABLED", "CUSTOMERS", "MOTORCYCLES"}),
    "ParkingType": frozenset({
        "ALONG_MOTORWAY", "PARKING_GARAGE", "PARKING_LOT", "ON_DRIVEWAY", "ON_STREET", "UNDERGROUND_GARAGE"
    }),
}
"""Open in 2.3.0, closed in 2.2.1: what 2.2.1 knows."""
# fmt: on
