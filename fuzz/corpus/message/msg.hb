hb
{"n":12,"rtt_ms":38}