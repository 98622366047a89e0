"""All processes of HandsOff on one machine: started, watched, restarted, stopped."""
