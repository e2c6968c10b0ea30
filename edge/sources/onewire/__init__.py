"""The source `onewire`: thermometers on a 1-Wire bus, DS18B20 and its like."""
